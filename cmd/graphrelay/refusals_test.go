package main_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// withCode is what every refusal looks like (RFC 2034): its two codes agree.
var withCode = regexp.MustCompile(`^(4\d\d 4|5\d\d 5)\.\d{1,3}\.\d{1,3} \S`)

// TestRefusals shows one refusal after the other; each says why with an enhanced
// code, and nothing remains of what was refused.
func TestRefusals(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim, edit{"message_size: 150MiB", "message_size: 64KiB"}, edit{"recipients: 500", "recipients: 3"})
	header := "From: <crm@contoso.test>\r\nTo: <anna@example.com>\r\nSubject: refused\r\n\r\n"
	large := strings.Repeat("0123456789 0123456789 0123456789 0123456789 0123456789\r\n", 1300)
	base64Of := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	mail, rcpt := "MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>"
	cases := map[string]struct {
		listener string
		signIn   bool
		dialog   []string // the last one is refused
		want     string
	}{
		"wrong-password":       {"submission", false, []string{"AUTH PLAIN " + plainResponse(crmUser, "wrong")}, "535 5.7.8"},
		"wrong-password-login": {"submissions", false, []string{"AUTH LOGIN " + base64Of(crmUser), base64Of("wrong")}, "535 5.7.8"},
		"unknown-user":         {"submissions", false, []string{"AUTH PLAIN " + plainResponse("nobody", crmPassword)}, "535 5.7.8"},
		"not-signed-in":        {"submission", false, []string{mail}, "530 5.7.0"},
		"unknown-sender":       {"devices", true, []string{"MAIL FROM:<someone@elsewhere.test>"}, "550 5.7"},
		"foreign-sender":       {"submission", true, []string{"MAIL FROM:<someone@printers.local>"}, "550 5.7"},
		"foreign-author":       {"submission", true, []string{mail, rcpt, "DATA", strings.Replace(header, "crm@contoso", "x@elsewhere", 1) + "\r\n."}, "550 5.7"},
		"sender-syntax":        {"devices", true, []string{"MAIL FROM:<root>"}, "501 5."},
		"announced-size":       {"devices", true, []string{mail + " SIZE=65537"}, "552 5.3.4"},
		"real-size":            {"devices", true, []string{mail, rcpt, "DATA", header + large + "."}, "552 5.3.4"},
		"real-size-bdat":       {"submissions", true, []string{mail, rcpt, fmt.Sprintf("BDAT %d LAST\r\n%s", len(large)-2, large[:len(large)-4])}, "552 5.3.4"},
		"recipient-syntax":     {"devices", true, []string{mail, "RCPT TO:<anna>"}, "501 5."},
		"recipient-brackets":   {"devices", true, []string{mail, "RCPT TO:anna@example.com, bernd@example.com"}, "50"},
		"recipient-domain":     {"devices", true, []string{mail, "RCPT TO:<anna@exa_mple..com>"}, "501 5.1.3"},
		"too-many-recipients":  {"devices", true, []string{mail, rcpt, "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>", "RCPT TO:<d@example.com>"}, "452 4.5.3"},
		"no-recipient":         {"devices", true, []string{mail, "DATA"}, "50"},
		"unknown-command":      {"devices", true, []string{"GET / HTTP/1.1"}, "50"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dial := relay.dialOnly
			if c.signIn {
				dial = relay.dial
			}
			d, err := dial(c.listener)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			last := len(c.dialog) - 1
			for _, command := range c.dialog[:last] {
				if answer := d.answer("%s", command); !strings.HasPrefix(answer, "2") && !strings.HasPrefix(answer, "3") {
					t.Fatalf("%s: %s", command, answer)
				}
			}
			if answer := d.answer("%s", c.dialog[last]); !strings.HasPrefix(answer, c.want) || !withCode.MatchString(answer) {
				t.Errorf("got %q, want %s", answer, c.want)
			}
		})
	}
	relay.checkEmpty(t)
	if sent := sim.ledger(t); len(sent) > 0 {
		t.Errorf("sent: %+v", sent)
	}
	if n := relay.metric(t, "graphrelay_messages_accepted_total"); n != 0 {
		t.Errorf("%v messages were accepted", n)
	}
}

// TestFullDisk fills the disk under the queue: mail is put off while it lasts,
// and taken again afterwards.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := newRelay(t, sim)
	data := filepath.Join(relay.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	mountSmallDisk(t, data)
	relay.start(t)

	big := tenKilobytes("full disk")(1)
	big.Text = wrappedText(noise("big", 3_000_000))
	relay.putOff(t, big)
	relay.checkEmpty(t)

	filler := filepath.Join(data, "filler")
	fill(t, filler)
	small := tenKilobytes("full disk")(2)
	relay.putOff(t, small)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	relay.checkEmpty(t)

	small.Subject = "after the full disk"
	waitFor(t, "mail to be taken again", func() bool { // the free space is asked for once a second
		return strings.HasPrefix(relay.sendOne(t, small), "250 2.0.0 queued as ")
	})
	sim.sent(t, small.From, small.Subject)
	relay.settled(t)
	if n := len(sim.ledger(t)); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
}

// mountSmallDisk is a file system of 4 MB.
func mountSmallDisk(t *testing.T, dir string) {
	t.Helper()
	tool := needTool(t, "mount")
	if out, err := commandOutput(tool, "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir); err != nil {
		skipUnlessCI(t, "cannot mount: %v %s", err, out)
	}
	// Registered before the relay starts, so it runs after the relay has ended.
	t.Cleanup(func() {
		if out, err := commandOutput("umount", dir); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
}

// fill writes until there is no space left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// putOff sends a message and wants a 452.
func (r *relayProcess) putOff(t *testing.T, s sample) {
	t.Helper()
	if answer := r.sendOne(t, s); !strings.HasPrefix(answer, "452 4.3.1 ") {
		t.Errorf("on a full disk: %q, want 452 4.3.1", answer)
	}
}

// sendOne sends a message by itself and returns the answer, or the error.
func (r *relayProcess) sendOne(t *testing.T, s sample) string {
	t.Helper()
	d, err := r.dial("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	answer, err := d.send(s.From, s.recipients(), strings.NewReader(s.compose(rfc2231Name)))
	var refusal *textproto.Error
	if errors.As(err, &refusal) {
		return fmt.Sprintf("%d %s", refusal.Code, refusal.Msg)
	}
	if err != nil {
		return err.Error()
	}
	return "250 " + answer
}

// TestBrokenConfigurations wants exit status 2, and file and line of the fault.
func TestBrokenConfigurations(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	for name, e := range map[string]edit{
		"unknown-key":   {"hostname:", "hostnam:"},
		"bad-value":     {"tls: starttls", "tls: startls"},
		"bad-size":      {"message_size: 150MiB", "message_size: much"},
		"open-relay":    {"networks: [127.0.0.0/8]", "networks: [0.0.0.0/0]"},
		"no-such-file":  {"cert_file: relay.crt", "cert_file: missing.crt"},
		"password-hash": {"$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", "crm-secret"},
		"endpoint":      {"tenant: 11111111-1111-1111-1111-111111111111", "tenant: ''"},
		"not-yaml":      {"connections: ", "connections: ] "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := newRelay(t, sim, e)
			text, err := os.ReadFile(relay.config)
			if err != nil {
				t.Fatal(err)
			}
			before, _, _ := strings.Cut(string(text), e.new)
			place := fmt.Sprintf("relay.yaml:%d", strings.Count(before, "\n")+1)
			for _, verb := range []string{"check", "serve"} {
				got := command(t, "", verb, "--config", relay.config)
				if got.status != 2 || !strings.Contains(got.stderr, place) {
					t.Errorf("%s: status %d, want 2; want %s in\n%s", verb, got.status, place, got.stderr)
				}
				if strings.Contains(got.stderr, crmPassword) {
					t.Errorf("%s shows a secret: %s", verb, got.stderr)
				}
			}
		})
	}
}

// TestSecondRelay wants a refusal, not two relays on one queue.
func TestSecondRelay(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	if got := command(t, "", "serve", "--config", relay.config); got.status != 1 || got.stderr == "" {
		t.Errorf("a second serve: status %d, %q", got.status, got.stderr)
	}
}
