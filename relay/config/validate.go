package config

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/internal/mailaddr"
)

// validator checks values: ranges, names that must be unique, and settings that depend on
// each other. It opens no files.
type validator struct {
	*report
	cfg *Config
}

func validate(cfg *Config, r *report) {
	v := validator{r, cfg}
	v.general()
	v.listeners()
	v.pickup()
	v.limits()
	v.rates()
	v.users()
	v.connections()
	v.senders()
	v.signatures()
	v.mailboxes()
	v.adminPages()
	v.queue()
	v.delivery()
	v.log()
	v.alerts()
}

func (v validator) log() {
	l := v.cfg.Log
	if v.has("log.file") && l.File == "" {
		v.fault("log.file", "is empty; name a file, or remove the key to log to standard error")
	}
	for _, key := range []string{"log.max_size", "log.max_files", "log.max_age"} {
		if v.has(key) && !v.has("log.file") {
			v.fault(key, "is for a log file; add log.file, or remove it")
		}
	}
	within(v, "log.max_size", l.MaxSize, 64*KiB, 1*GiB)
	within(v, "log.max_files", l.MaxFiles, 0, 1000)
	within(v, "log.max_age", l.MaxAge, minutes(60), minutes(10*365*24*60))
}

func (v validator) general() {
	if v.has("hostname") {
		v.hostname()
	}
	if v.cfg.DataDir == "" {
		v.fault("data_dir", "is empty; name a folder, or remove the key")
	}
	if v.has("tls") {
		v.certificateOf("tls", v.cfg.TLS.CertFile, v.cfg.TLS.KeyFile, &v.cfg.TLS.CertificateStore)
	}
}

func (v validator) hostname() {
	domain, err := mailaddr.Domain(v.cfg.Hostname)
	if err != nil {
		v.fault("hostname", "is %s, which is not a host name; write one such as relay.contoso.test", quote(v.cfg.Hostname))
		return
	}
	v.cfg.Hostname = domain
}

// require adds a fault if a key is missing or empty, and reports whether there is a value.
func (v validator) require(key, value, remedy string) bool {
	switch {
	case !v.has(key):
		v.fault(key, "is missing; %s", remedy)
	case value == "":
		v.fault(key, "is empty; %s", remedy)
	}
	return value != ""
}

// requireList adds a fault if a list is missing or empty.
func (v validator) requireList(key string, length int, remedy string) {
	switch {
	case !v.has(key):
		v.fault(key, "is missing; %s", remedy)
	case length == 0:
		v.fault(key, "is empty; %s", remedy)
	}
}

// names checks names, which must be unique.
type names struct {
	validator
	first map[string]string // the key that first gives a name
}

func (v validator) names() names { return names{v, map[string]string{}} }

func (n names) check(key, name string, valid func(string) bool, remedy string) {
	if !n.require(key, name, remedy) {
		return
	}
	if !valid(name) {
		n.fault(key, "is %s; %s", quote(name), remedy)
		return
	}
	if first, taken := n.first[name]; taken {
		n.fault(key, "is %s, which %s has already; choose another name", quote(name), first)
		return
	}
	n.first[name] = key
}

// plainName reports whether a name can be used in logs, metrics and URLs.
func plainName(name string) bool {
	return len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return !isWordChar(r) && r != '-' && r != '.'
	})
}

func isWordChar(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// loginName reports whether a name can be that of a user.
func loginName(name string) bool {
	return len(name) <= 255 && !strings.ContainsFunc(name, unprintable)
}

// within adds a fault if a value is out of its range.
func within[T cmp.Ordered](v validator, key string, value, least, most T) {
	if low, ok := any(least).(int); ok && v.ranges != nil {
		v.ranges[key] = [2]int{low, any(most).(int)}
	}
	if value < least || value > most {
		v.fault(key, "is %v; choose from %v to %v", value, least, most)
	}
}

func (v validator) limits() {
	l := v.cfg.Limits
	within(v, "limits.message_size", l.MessageSize, 64*KiB, 1*GiB)
	if l.MessageSize > MaxMessageSize && !v.isBad("limits.message_size") {
		v.warn("limits.message_size", "is %s, but Microsoft 365 takes %s at most, so larger messages are refused; write %[2]s or less", l.MessageSize, MaxMessageSize)
	}
	within(v, "limits.recipients", l.Recipients, 1, 500)
	within(v, "limits.connections", l.Connections, 1, 100_000)
	within(v, "limits.connections_per_address", l.ConnectionsPerAddress, 1, 100_000)
	within(v, "limits.connections_per_network", l.ConnectionsPerNetwork, 1, 100_000)
	within(v, "limits.connections_per_minute", l.ConnectionsPerMinute, 1, 1_000_000)
	within(v, "limits.commands", l.Commands, 20, 100_000)
	within(v, "limits.errors", l.Errors, 3, 10_000)
	within(v, "limits.bad_recipients", l.BadRecipients, 1, 10_000)
	within(v, "limits.session_timeout", l.SessionTimeout, seconds(1), minutes(7*24*60))
	within(v, "limits.auth_failures", l.AuthFailures, 3, 1000)
	within(v, "limits.auth_block", l.AuthBlock, minutes(1), minutes(24*60))
	within(v, "limits.timeout", l.Timeout, seconds(1), minutes(60))
	within(v, "limits.message_timeout", l.MessageTimeout, seconds(1), minutes(24*60))
	within(v, "limits.min_rate", l.MinRate, 0, 1*MiB)
	// RFC 5321, section 4.5.3.1.6, has lines of 1,000 bytes.
	within(v, "limits.line_length", l.LineLength, 1000, 16*MiB)
	within(v, "limits.parts", l.Parts, 1, 100_000)
	within(v, "limits.depth", l.Depth, 1, 1000)
	within(v, "limits.header_size", l.HeaderSize, 4*KiB, 16*MiB)
	within(v, "limits.header_fields", l.HeaderFields, 100, 100_000)
	within(v, "limits.header_value", l.HeaderValue, 1*KiB, 16*MiB)
}

func (v validator) rates() {
	for _, of := range []struct {
		name string
		rate Rate
	}{{"user", v.cfg.Rates.User}, {"address", v.cfg.Rates.Address}, {"sender", v.cfg.Rates.Sender}} {
		within(v, "rates."+of.name+".messages_per_minute", of.rate.Messages, 0, 1_000_000)
		within(v, "rates."+of.name+".recipients_per_day", of.rate.Recipients, 0, 100_000_000)
	}
}

func (v validator) delivery() {
	d := v.cfg.Delivery
	within(v, "delivery.give_up_after", d.GiveUpAfter, seconds(1), minutes(30*24*60))
	within(v, "delivery.mailbox_concurrency", d.MailboxConcurrency, 1, 4)
	within(v, "delivery.mailbox_pace", d.MailboxPace, 0, 10_000)
	within(v, "delivery.mailbox_requests", d.MailboxRequests, 0, 1_000_000)
	within(v, "delivery.mailbox_upload", d.MailboxUpload, 0, 1024*GiB)
	within(v, "delivery.concurrency", d.Concurrency, 1, 10_000)
	within(v, "delivery.memory", d.Memory, 16*MiB, 64*GiB)
	within(v, "delivery.request_timeout", d.RequestTimeout, seconds(1), minutes(60))
	within(v, "delivery.reports_interval", d.ReportsInterval, seconds(1), minutes(24*60))
	within(v, "delivery.send_settle", d.SendSettle, seconds(1), minutes(60))
	within(v, "delivery.retry_unexplained", d.RetryUnexplained, 0, minutes(24*60))
	within(v, "delivery.warn_after", d.WarnAfter, 0, d.GiveUpAfter)
	if d.Postmaster != "" {
		v.mailbox("delivery.postmaster", d.Postmaster, "")
	}
	if d.BounceCopy != "" && checkAddress(d.BounceCopy) != nil {
		v.fault("delivery.bounce_copy", "is %s, which is not a mail address; write one such as postmaster@contoso.test", quote(d.BounceCopy))
	}
	switch {
	case d.RedirectAll == "":
	case checkAddress(d.RedirectAll) != nil:
		v.fault("delivery.redirect_all", "is %s, which is not a mail address; write one such as staging@contoso.test", quote(d.RedirectAll))
	default:
		v.warn("delivery.redirect_all", "is %s, so ALL mail goes to that address alone, bounces included, and nobody else gets any; remove the key where mail is to arrive", d.RedirectAll)
	}
	for i, pattern := range d.XHeaders {
		if _, err := path.Match(pattern, ""); err != nil || pattern != "auto" && !strings.HasPrefix(strings.ToLower(pattern), "x-") {
			v.fault(fmt.Sprintf("delivery.x_headers[%d]", i), "is %s; write auto, or the name of a header that begins with X-, with * for any characters", quote(pattern))
		}
	}
	if len(d.RetryDelays) == 0 {
		v.fault("delivery.retry_delays", "is empty; list at least one delay, or remove the key")
	}
	for i, delay := range d.RetryDelays {
		key := fmt.Sprintf("delivery.retry_delays[%d]", i)
		within(v, key, delay, Duration(time.Millisecond), minutes(7*24*60))
		if delay < seconds(1) && !v.isBad(key) {
			v.warn(key, "is %s, so a failing mailbox would be tried again almost at once; delays of 30s and more are usual", delay)
		}
	}
}

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }

func (v validator) users() {
	names, certificates := v.names(), v.names()
	for i, user := range v.cfg.Users {
		key := fmt.Sprintf("users[%d]", i)
		names.check(key+".name", user.Name, loginName, "write the name to sign in with, without spaces")
		v.credentials(key, &v.cfg.Users[i], certificates)
		v.recipients(key+".recipients", user.Recipients)
		v.connectionName(key+".connection", user.Connection)
		v.served(key+".senders", user)
		v.requireList(key+".senders", len(user.Senders), `list the addresses that the user may send from, such as "*@contoso.test"`)
	}
}

// credentials checks that a user has a password, a certificate or both.
func (v validator) credentials(key string, user *User, certificates names) {
	if v.has(key + ".certificate") {
		v.userCertificate(key+".certificate", user, certificates)
		if !v.has(key + ".password_hash") {
			return
		}
	}
	v.passwordHash(key+".password_hash", user.PasswordHash.Reveal())
}

func (v validator) passwordHash(key, hash string) {
	const remedy = "create one with: graphrelay hash-password"
	if !v.require(key, hash, remedy) {
		return
	}
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil || !wellFormedHash(hash):
		v.fault(key, "is not a bcrypt hash; %s", remedy)
	case cost > 14:
		v.warn(key, "has cost %d, which makes each sign-in take seconds; 10 to 12 is usual", cost)
	case cost < 10:
		v.warn(key, "has cost %d, which makes guessing cheap; 10 to 12 is usual", cost)
	}
}

// wellFormedHash reports whether salt and sum are 53 characters of bcrypt's own base64.
// bcrypt.Cost does not check them.
func wellFormedHash(hash string) bool {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := hash[strings.LastIndexByte(hash, '$')+1:]
	return len(sum) == 53 && strings.Trim(sum, alphabet) == ""
}

// mailbox checks the address of a mailbox, whose domain must belong to a connection unless
// one is named.
func (v validator) mailbox(key, mailbox, connection string) {
	if !v.require(key, mailbox, "add the address of the mailbox to send from") {
		return
	}
	if checkAddress(mailbox) != nil {
		v.fault(key, "is %s, which is not a mail address; write one such as scanner@contoso.test", quote(mailbox))
		return
	}
	if connection == "" && len(v.cfg.Connections) > 0 && v.domainsKnown() && v.cfg.ConnectionOf(mailbox) == nil {
		_, domain := mailaddr.Split(mailbox)
		v.fault(key, "is in %s, which no connection has; add %s to the domains of a connection", domain, domain)
	}
}

// domainsKnown reports whether the domains of all connections could be read. Otherwise nothing
// can be said of an address whose domain is in none of them.
func (v validator) domainsKnown() bool {
	for i, c := range v.cfg.Connections {
		key := fmt.Sprintf("connections[%d].domains", i)
		if v.isBad(key) {
			return false
		}
		for j := range c.Domains {
			if v.isBad(fmt.Sprintf("%s[%d]", key, j)) {
				return false
			}
		}
	}
	return true
}
