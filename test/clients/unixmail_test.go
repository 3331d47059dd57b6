package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// sendmailMachine returns a machine whose /usr/sbin/sendmail is graphrelay, set up as docs/sendmail.md
// shows.
func sendmailMachine(t *testing.T, relay *harness.Relay) *machine {
	t.Helper()
	m := &machine{dir: harness.ServerDir(t), server: harness.ServerDir(t)}
	for _, dir := range []string{"etc", "var/run", "var/tmp"} {
		m.mkdir(t, dir)
	}
	if err := os.MkdirAll(filepath.Join(m.server, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, filepath.Join(m.server, "usr/sbin/sendmail"))
	settings := snippetOf(t, relay, "sendmail.md", "/etc/graphrelay-sendmail.yaml")
	m.write(t, "/etc/graphrelay-sendmail.yaml", strings.ReplaceAll(settings, "127.0.0.1:2525", relay.Address["devices"]))
	m.write(t, "/etc/aliases", snippetOf(t, relay, "sendmail.md", "/etc/aliases")+"nobody: root\n")
	if out, err := m.command("true").CombinedOutput(); err != nil {
		harness.SkipUnlessCI(t, "needs root, and mounts: %v %s", err, out)
	}
	return m
}

// TestUnixMail has programs of Unix machines send mail to root in their own way, through graphrelay as
// sendmail: the three commands mail of Debian, smartd's script and mdadm.
func TestUnixMail(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bsd-mailx", "s-nail", "mail.mailutils", "mdadm", "/usr/share/smartmontools/smartd_warning.sh"} {
		harness.NeedTool(t, tool)
	}
	sim := harness.StartSim(t)
	const machines = "  - match: \"*@printers.local\"\n"
	relay := harness.StartRelay(t, sim, harness.Replace(machines, "  - match: \"*@"+webHost+"\"\n    mailbox: alerts@contoso.test\n    reply_to: none\n"+machines))
	m := sendmailMachine(t, relay)
	file := harness.NewFile(t, "Prüfung 本日.pdf", "", harness.Noise("unix", 10_000))
	attached := filepath.Join(t.TempDir(), file.Name)
	if err := os.Symlink(file.Path, attached); err != nil {
		t.Fatal(err)
	}
	files := []simulator.Attachment{{Name: file.Name, SHA256: harness.SHA256Hex(file.Content)}}
	const text = "größer\n.\n..two\n"
	for _, c := range []struct {
		name, stdin string
		command     []string
		cc, bcc     []string
		want        arrival
	}{
		{"bsd-mailx", text, []string{"bsd-mailx", "-s", "Grüße von bsd-mailx", "-c", "chie@example.net", "-b", "archive@example.com", "root"},
			[]string{"chie@example.net"}, []string{"ops@contoso.test", "archive@example.com"}, arrival{subject: "Grüße von bsd-mailx", body: plain(text)}},
		{"s-nail", text, []string{"s-nail", "-s", "Grüße von s-nail", "-c", "chie@example.net", "-b", "archive@example.com", "-a", attached, "root"},
			[]string{"chie@example.net"}, []string{"ops@contoso.test", "archive@example.com"}, arrival{subject: "Grüße von s-nail", body: plain(text), files: files}},
		// A line with a dot alone ends what mailutils reads.
		{"mailutils", "größer\n..two\n", []string{"mail.mailutils", "-s", "Grüße von mailutils", "-a", "Cc: chie@example.net", "-a", "Bcc: archive@example.com", "-A", attached, "root"},
			[]string{"chie@example.net"}, []string{"archive@example.com", "ops@contoso.test"}, arrival{subject: "Grüße von mailutils", body: plain("größer\n..two\n"), files: files}},
		{"smartd", "", smartdWarning, nil, []string{"ops@contoso.test"},
			arrival{subject: "SMART error (CurrentPendingSector) detected on host: web1", body: plain(smartdText)}},
		{"mdadm", "", []string{"mdadm", "--monitor", "--test", "--oneshot", "--mail=root", "/dev/md0"}, nil, []string{"ops@contoso.test"},
			arrival{subject: "TestMessage event on /dev/md0:" + webHost, body: plain("This is an automatically generated mail message from mdadm\nrunning on " + webHost +
				"\n\nA TestMessage event had been detected on md device /dev/md0.\n\nFaithfully yours, etc.\n")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m.run(t, c.stdin, "env", append([]string{"LC_ALL=C.UTF-8"}, c.command...)...)
			const alerts = "alerts@contoso.test"
			got, want := sim.Sent(t, alerts, c.want.subject), c.want
			want.from, want.path, want.cc, want.bcc = simulator.Address{Name: got.From.Name, Address: alerts}, "draft", named(c.cc...), named(c.bcc...)
			for i := range got.Attachments { // how they are described is up to each program
				got.Attachments[i].ContentType, got.Attachments[i].ContentID = "", ""
			}
			want.check(t, sim, relay, got)
		})
	}
}

func plain(text string) simulator.Body { return simulator.Body{ContentType: "text", Content: text} }

// smartdWarning is how smartd runs its script with Debian's settings (-m root -M exec smartd-runner),
// and smartdText what the script makes of it.
var smartdWarning = []string{
	"SMARTD_MAILER=/usr/share/smartmontools/smartd-runner", "SMARTD_ADDRESS=root", "SMARTD_FAILTYPE=CurrentPendingSector",
	"SMARTD_MESSAGE=Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors", "SMARTD_DEVICEINFO=WDC WD40EFRX, S/N:WD-1, 4.00 TB",
	"SMARTD_PREVCNT=0", "SMARTD_NEXTDAYS=1", "/usr/share/smartmontools/smartd_warning.sh",
}

const smartdText = `This message was generated by the smartd daemon running on:

   host name:  web1
   DNS domain: contoso.test

The following warning/error was logged by the smartd daemon:

Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors

Device info:
WDC WD40EFRX, S/N:WD-1, 4.00 TB

For details see host's SYSLOG.

You can also use the smartctl utility for further investigation.
Another message will be sent in 24 hours if the problem persists.
`
