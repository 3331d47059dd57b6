package clients

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// forDevices gives the contract's listener for devices the profile legacy and a network
// beyond this machine.
var forDevices = []harness.Edit{
	harness.Replace("auth: none                        # none", "auth: optional                        # none"),
	harness.Replace("networks: [127.0.0.0/8]", "networks: [192.168.1.0/24]\n    proxy_networks: [127.0.0.1]\n    profile: legacy\n    add_domain: printers.local"),
	harness.Replace("senders:                              #", "senders:\n  - {match: \"*@localhost\", mailbox: crm@contoso.test, reply_to: none}   #"),
}

// dialDevice connects as a device of that network, and sends nothing.
func dialDevice(t *testing.T, r *harness.Relay) *harness.Dialog {
	t.Helper()
	nc, err := net.Dial("tcp", r.Address["devices"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(harness.Guard))
	d := &harness.Dialog{TCP: nc.(*net.TCPConn), Conn: textproto.NewConn(nc)}
	if err := d.PrintfLine("PROXY TCP4 192.168.1.20 192.168.1.2 40000 25"); err != nil {
		t.Fatal(err)
	}
	if got := d.Next(); !strings.HasPrefix(got, "220") {
		t.Fatalf("greeted with %q", got)
	}
	return d
}

// TestOldDevices sends mail as devices with a poor SMTP client do, and checks what the
// recipients get.
func TestOldDevices(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, forDevices...)
	if got := harness.Command(t, "", "check", "--config", relay.Config); got.Status != 0 || !strings.Contains(got.Stdout+got.Stderr, "passwords cross the network in plain text") {
		t.Errorf("check: %+v", got)
	}
	harness.WaitFor(t, "the warning of passwords without TLS", func() bool {
		return strings.Contains(relay.Log.String(), "passwords cross the network in plain text")
	})
	base := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	long := strings.Repeat("0123456789", 500)
	longest := strings.Repeat("0123456789", 50_000)
	for _, device := range []struct {
		name, script, message string
		mailbox               string
		want                  simulator.Message
	}{
		{"scanner", "> HELO my_printer\n250\n> MAIL FROM: scanner\n250\n> RCPT TO: anna@example.com\n250\n> DATA\n354",
			"Subject: scanner\n\n" + long + "\n" + longest + "\n\nlast line",
			"scanner@contoso.test", simulator.Message{
				From: &simulator.Address{Address: "scanner@contoso.test"}, ReplyTo: []simulator.Address{{Address: "scanner@printers.local"}},
				Bcc:  []simulator.Address{{Address: "anna@example.com"}},
				Body: simulator.Body{Content: long + "\n" + longest + "\n\nlast line\n"},
			}},
		{"cron", "> HELO\n250\n> MAIL FROM:<root>\n250\n> RCPT TO:<anna@example.com>\n250\n> DATA\n354",
			"From: root (Cron Daemon)\r\nTo: root\r\nSubject: cron\r\n\r\nbackup done",
			"scanner@contoso.test", simulator.Message{
				From: &simulator.Address{Name: "Cron Daemon", Address: "scanner@contoso.test"}, ReplyTo: []simulator.Address{{Address: "root@printers.local"}},
				Bcc:  []simulator.Address{{Address: "anna@example.com"}},
				Body: simulator.Body{Content: "backup done\n"},
			}},
		{"localhost", "> EHLO localhost.localdomain\n250\n> MAIL FROM: <root@localhost> SIZE=100\n250\n> RCPT TO:< anna@example.com >\n250\n> DATA\n354",
			"From: root@localhost\nTo: anna@example.com\nSubject: localhost\n\ntext",
			"crm@contoso.test", simulator.Message{
				From: &simulator.Address{Address: "crm@contoso.test"}, To: []simulator.Address{{Address: "anna@example.com"}},
				Body: simulator.Body{Content: "text\n"},
			}},
		{"signed in", "> EHLO 192.168.1.20\n250\n> AUTH LOGIN " + base("scanner") + "\n334 UGFzc3dvcmQ6\n> " + base("scan-secret") + "\n235\n" +
			"> MAIL FROM:<crm@contoso.test>\n550 5.7.1 The user scanner may not send as crm@contoso.test\n" +
			"> MAIL FROM:<scanner@contoso.test>\n250\n> RCPT TO:<anna@example.com>\n250\n> DATA\n354",
			"From: Scanner <scanner@contoso.test>\r\nTo: <anna@example.com>\r\nSubject: signed in\r\n\r\ntext",
			"scanner@contoso.test", simulator.Message{
				From: &simulator.Address{Name: "Scanner", Address: "scanner@contoso.test"}, To: []simulator.Address{{Address: "anna@example.com"}},
				Body: simulator.Body{Content: "text\n"},
			}},
	} {
		t.Run(device.name, func(t *testing.T) {
			d := dialDevice(t, relay)
			d.Script(t, device.script)
			d.Body(t, device.message)
			got := sim.Sent(t, device.mailbox, device.name)
			for _, c := range []struct {
				what      string
				got, want any
			}{
				{"from", got.From, device.want.From}, {"reply-to", got.ReplyTo, device.want.ReplyTo},
				{"to", got.To, device.want.To}, {"cc", got.Cc, device.want.Cc}, {"bcc", got.Bcc, device.want.Bcc}, {"body", harness.Lines(got.Body.Content), harness.Lines(device.want.Body.Content)},
			} {
				if g, w := jsonText(t, c.got), jsonText(t, c.want); g != w {
					t.Errorf("%s:\n got %s\nwant %s", c.what, harness.Tail(g), harness.Tail(w))
				}
			}
			if got.InternetMessageID == "" {
				t.Error("it has no Message-ID")
			}
		})
	}
	relay.Settled(t)
}

// A listener without the profile refuses what the profile tolerates.
func TestModernListener(t *testing.T) {
	t.Parallel()
	relay := harness.StartRelay(t, harness.StartSim(t))
	d, err := relay.DialOnly("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.Script(t, "> HELO\n501\n> MAIL FROM:<root>\n501 5.5.2\n> MAIL FROM:<crm@contoso.test>\n250\n> RCPT TO:<postmaster>\n501 5.5.2\n> RCPT TO:<anna@example.com>\n250\n> DATA\n354\n"+
		"> "+strings.Repeat("x", 70_000)+"\n> .\n554 5.6.0 A line of the message is longer")
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
