package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Queue configures the queue. URL holds the address of its database, also where that comes
// from a file or an environment variable; it is empty for the queue in data_dir.
type Queue struct {
	URL              Secret   `yaml:"url"`
	URLFile          string   `yaml:"url_file"`
	URLEnv           string   `yaml:"url_env"`
	Node             string   `yaml:"node"`         // the name of this relay among those that share the queue; empty: from its host
	Lease            Duration `yaml:"lease"`        // after which the others take over what it works on
	MaxMessages      int      `yaml:"max_messages"` // that are not sent yet
	MaxSize          Size     `yaml:"max_size"`     // of these messages together
	MinFreeSpace     Size     `yaml:"min_free_space"`
	KeepSent         Duration `yaml:"keep_sent"` // the delivery log
	KeepSentMessages int      `yaml:"keep_sent_messages"`
	KeepSentContent  Duration `yaml:"keep_sent_content"` // where a recipient may turn out not to have the message
	KeepFailed       Duration `yaml:"keep_failed"`       // failed messages with their content, and returned ones
}

// Shared reports whether the queue is in a database, which other relays may share.
func (q *Queue) Shared() bool { return q.URL.Reveal() != "" || q.URLFile != "" || q.URLEnv != "" }

func (q *Queue) url() secretSource {
	return secretSource{name: "url", value: &q.URL, file: q.URLFile, env: q.URLEnv}
}

func (v validator) queue() {
	q := v.cfg.Queue
	v.optionalSecret("queue", q.url())
	if v.has("queue.node") && (q.Node == "" || !plainName(q.Node)) {
		v.fault("queue.node", "is %s; use letters, digits, dots, hyphens and underscores, at most 64", quote(q.Node))
	}
	within(v, "queue.lease", q.Lease, seconds(3), minutes(10))
	within(v, "queue.max_messages", q.MaxMessages, 1, 10_000_000)
	largest := v.cfg.Limits.MessageSize
	for _, c := range v.cfg.Connections {
		largest = max(largest, c.MessageSize)
	}
	within(v, "queue.max_size", q.MaxSize, largest, 1<<20*GiB) // or some mail never fits
	within(v, "queue.min_free_space", q.MinFreeSpace, 0, 1<<20*GiB)
	within(v, "queue.keep_sent", q.KeepSent, 0, minutes(3650*24*60))
	within(v, "queue.keep_sent_messages", q.KeepSentMessages, 0, 10_000_000)
	within(v, "queue.keep_sent_content", q.KeepSentContent, 0, minutes(30*24*60))
	within(v, "queue.keep_failed", q.KeepFailed, minutes(60), minutes(3650*24*60))
	for i := range v.cfg.Connections {
		if c := &v.cfg.Connections[i]; v.cfg.WatchesReports(c) && (q.KeepSent < reportsLate || q.KeepSentMessages == 0) {
			v.warn("queue", "keeps the records of sent mail for less than three days, so connection %s can find only some of the messages that non-delivery reports are about; raise keep_sent and keep_sent_messages", quote(c.Name))
		}
	}
}

// reportsLate is how long after a message most non-delivery reports have come.
const reportsLate = Duration(3 * 24 * time.Hour)

// checkQueueURL checks the address of the database once it is known. Faults do not show it,
// since it may have a password in it.
func checkQueueURL(q *Queue, r *report) {
	text := q.URL.Reveal()
	if text == "" {
		return
	}
	key := "queue.url"
	switch {
	case q.URLFile != "":
		key = "queue.url_file"
	case q.URLEnv != "":
		key = "queue.url_env"
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" {
		r.fault(key, "does not give the address of a PostgreSQL database; write one such as postgres://graphrelay@db.contoso.test/graphrelay?sslmode=verify-full")
		return
	}
	switch u.Query().Get("sslmode") {
	case "require", "verify-ca", "verify-full":
	default:
		if !localDatabase(u) {
			r.warn(key, "lets mail and the password cross the network in plain text if the database does not insist on TLS; add sslmode=verify-full to it")
		}
	}
}

// hasPassword reports whether the address of a database has a password in it.
func hasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return address != ""
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// localDatabase reports whether a database is reached without a network: by a socket, or by
// loopback.
func localDatabase(u *url.URL) bool {
	hosts := u.Query().Get("host")
	if hosts == "" {
		hosts = u.Host
	}
	for _, h := range strings.Split(hosts, ",") {
		if name, _, err := net.SplitHostPort(h); err == nil {
			h = name
		}
		addr, err := netip.ParseAddr(strings.Trim(h, "[]"))
		if h != "" && h != "localhost" && !strings.HasPrefix(h, "/") && (err != nil || !addr.IsLoopback()) {
			return false
		}
	}
	return true
}

// ReadURL reads the address of the database from the file or environment variable that the
// configuration names, for commands that Parse has given one without its secrets. Path is the
// configuration's, for faults.
func (q *Queue) ReadURL(path string) error {
	r := newReport(path)
	readSecret(q.url(), "queue", r)
	checkQueueURL(q, r)
	return r.err()
}
