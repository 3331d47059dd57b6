package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// mailServer sends all its mail to a relay, set up as docs/clients.md shows, with
// STARTTLS and a password.
type mailServer interface {
	// sendmail runs the command to which local programs hand their mail.
	sendmail(t *testing.T, message string, args ...string)
	// retry sends deferred mail again at once.
	retry(t *testing.T)
	Log(t *testing.T) string
}

// TestMailServers has each server send three messages, the first of which the relay
// defers, and the mail of a cron job.
func TestMailServers(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	for name, start := range map[string]func(*testing.T, *harness.Relay) mailServer{
		"postfix": startSatellite, "exim": startExim, "opensmtpd": startOpenSMTPD,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const room, machines = 4, "  - match: \"*@printers.local\"\n"
			relay := harness.StartRelay(t, sim, harness.Replace("admin:\n", fmt.Sprintf("queue:\n  max_messages: %d\n\nadmin:\n", room)),
				harness.Replace(`senders: ["*@contoso.test"]`, `senders: ["*@contoso.test", "*@*.contoso.test"]`),
				harness.Replace(machines, "  - match: \"*@*.contoso.test\"\n    mailbox: alerts@contoso.test\n    reply_to: none\n"+machines))
			server := start(t, relay)
			from := name + "@contoso.test"
			list := harness.Samples(t, from, name)
			// OpenSMTPD may try the recipients of a message again one after the other, as messages of their own.
			list[0].To, list[0].Cc, list[0].Bcc = list[0].To[:1], nil, nil
			list[2].Files = []harness.File{harness.NewFile(t, harness.JapaneseName, "application/pdf", harness.Noise(name, 1_000_000))}

			fillQueue(t, relay, room)
			server.sendmail(t, local(list[0]), "-t", "-i", "-f", from)
			harness.WaitFor(t, "the refusal", func() bool { return strings.Contains(server.Log(t), "452 4.3.1") })
			drainQueue(t, relay)
			harness.WaitFor(t, "another try", func() bool {
				server.retry(t)
				return relay.Metric(t, "graphrelay_messages_accepted_total") > room
			})
			list[0].Check(t, sim.Sent(t, from, list[0].Subject))
			for _, s := range list[1:] {
				server.sendmail(t, local(s), "-t", "-i", "-f", from)
				s.Check(t, sim.Sent(t, from, s.Subject))
			}
			job := debianJob(name)
			server.sendmail(t, job.text, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root")
			const alerts = "alerts@contoso.test"
			job.arrival(alerts).check(t, sim, relay, sim.Sent(t, alerts, job.subject))

			relay.Settled(t)
			if n := relay.Metric(t, "graphrelay_messages_accepted_total"); n != room+4 {
				t.Errorf("%v messages were accepted, want %d", n, room+4)
			}
			if n := len(slices.DeleteFunc(sim.Ledger(t), func(d simulator.Delivery) bool { return d.Mailbox != from })); n != len(list) {
				t.Errorf("%d messages were sent, want %d", n, len(list))
			}
		})
	}
}

// local returns the message as local programs write it: with line feeds, and with a Bcc
// field, which the server must remove.
func local(s harness.Sample) string {
	bcc := ""
	if len(s.Bcc) > 0 {
		bcc = "Bcc: " + strings.Join(s.Bcc, ", ") + "\n"
	}
	return bcc + strings.ReplaceAll(s.Compose(harness.RFC2231Name), "\r\n", "\n")
}

// fillQueue fills the queue and pauses its delivery.
func fillQueue(t *testing.T, r *harness.Relay, room int) {
	t.Helper()
	r.PauseAll(t)
	for n := range room {
		sendRaw(t, r, fmt.Appendf(nil, "From: <crm@contoso.test>\r\nSubject: filler %d\r\n\r\n", n), "crm@contoso.test", "anna@example.com")
	}
}

// drainQueue resumes the delivery and waits until the queue is empty.
func drainQueue(t *testing.T, r *harness.Relay) {
	t.Helper()
	if got := r.QueueCommand(t, "resume", "contoso"); got.Status != 0 {
		t.Fatalf("queue resume: %s", got.Stderr)
	}
	r.Settled(t)
}

// satellite is a Postfix.
type satellite struct{ *harness.Postfix }

func startSatellite(t *testing.T, relay *harness.Relay) mailServer {
	main := snippet(t, relay, "/etc/postfix/main.cf")
	dir := harness.ServerDir(t)
	for _, name := range []string{"relay_password", "virtual"} {
		path := "/etc/postfix/" + name
		if err := os.WriteFile(filepath.Join(dir, name), []byte(snippet(t, relay, path)), 0o644); err != nil {
			t.Fatal(err)
		}
		main = strings.Replace(main, path, filepath.Join(dir, name), 1)
	}
	settings := strings.Split(strings.TrimSpace(main), "\n")
	return satellite{harness.StartPostfix(t, relay.Address["submission"], append(settings, "smtp_host_lookup = native")...)}
}

func (s satellite) sendmail(t *testing.T, message string, args ...string) {
	harness.Tool(t, message, "/usr/sbin/sendmail", append([]string{"-C", s.Dir}, args...)...)
}

func (s satellite) retry(t *testing.T) { harness.Tool(t, "", "/usr/sbin/postqueue", "-c", s.Dir, "-f") }

// exim is an Exim without a daemon, configured by Debian's own script.
type exim struct{ *machine }

func startExim(t *testing.T, relay *harness.Relay) mailServer {
	m := newMachine(t, "exim4-daemon-light", "Debian-exim")
	for _, path := range []string{"/etc/exim4/update-exim4.conf.conf", "/etc/exim4/exim4.conf.localmacros", "/etc/exim4/passwd.client", "/etc/aliases"} {
		// The relay is on an address that Exim does not listen on, as on another machine.
		m.write(t, path, strings.Replace(snippet(t, relay, path), "127.0.0.1 ; ::1", "127.0.0.2", 1))
	}
	m.trust(t, relay)
	for _, dir := range []string{"var/lib/exim4", "var/spool/exim4", "var/log/exim4"} {
		m.mkdir(t, dir)
		if err := os.Chown(filepath.Join(m.dir, dir), accountID, accountID); err != nil {
			t.Fatal(err)
		}
	}
	m.run(t, "", "update-exim4.conf")
	return exim{m}
}

func (e exim) sendmail(t *testing.T, message string, args ...string) {
	e.run(t, message, "sendmail", append([]string{"-odf"}, args...)...)
}

func (e exim) retry(t *testing.T) { e.run(t, "", "exim4", "-qff") }

func (e exim) Log(t *testing.T) string {
	b, err := os.ReadFile(filepath.Join(e.dir, "var/log/exim4/mainlog"))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// openSMTPD is a running smtpd.
type openSMTPD struct {
	*machine
	daemon *harness.Process
}

func startOpenSMTPD(t *testing.T, relay *harness.Relay) mailServer {
	m := newMachine(t, "opensmtpd", "opensmtpd", "opensmtpq")
	for _, path := range []string{"/etc/smtpd.conf", "/etc/secrets", "/etc/aliases"} {
		m.write(t, path, snippet(t, relay, path))
	}
	m.trust(t, relay)
	m.mkdir(t, "var/lib/opensmtpd/empty")
	m.mkdir(t, "var/spool/smtpd")
	if err := os.Chmod(filepath.Join(m.dir, "var/spool/smtpd"), 0o711); err != nil { // as smtpd insists
		t.Fatal(err)
	}
	s := openSMTPD{m, harness.StartCommand(t, "smtpd", m.command("smtpd", "-d"))}
	harness.WaitFor(t, "smtpd", func() bool {
		if !s.daemon.Running() {
			t.Fatalf("smtpd ended: %s", s.Log(t))
		}
		_, err := os.Stat(filepath.Join(m.dir, "var/run/smtpd.sock"))
		return err == nil
	})
	return s
}

// control runs a program with the group that its set-group-ID bit gives it elsewhere.
func (s openSMTPD) control(t *testing.T, stdin string, program ...string) {
	s.run(t, stdin, "setpriv", append([]string{"--regid", "opensmtpq", "--clear-groups"}, program...)...)
}

func (s openSMTPD) sendmail(t *testing.T, message string, args ...string) {
	s.control(t, message, append([]string{"sendmail"}, args...)...)
}

func (s openSMTPD) retry(t *testing.T) { s.control(t, "", "smtpctl", "schedule", "all") }

func (s openSMTPD) Log(*testing.T) string { return s.daemon.Log.String() }
