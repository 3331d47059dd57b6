package edge

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// withCode matches a refusal whose two codes agree (RFC 2034).
var withCode = regexp.MustCompile(`^(4\d\d 4|5\d\d 5)\.\d{1,3}\.\d{1,3} \S`)

// TestRefusals causes each refusal. It must give the reason and an enhanced code, and
// nothing of the message may remain.
func TestRefusals(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.Replace("message_size: 150MiB", "message_size: 64KiB"), harness.Replace("recipients: 500", "recipients: 3"))
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
		"wrong-password":       {"submission", false, []string{"AUTH PLAIN " + harness.PlainResponse(harness.CRMUser, "wrong")}, "535 5.7.8"},
		"wrong-password-login": {"submissions", false, []string{"AUTH LOGIN " + base64Of(harness.CRMUser), base64Of("wrong")}, "535 5.7.8"},
		"unknown-user":         {"submissions", false, []string{"AUTH PLAIN " + harness.PlainResponse("nobody", harness.CRMPassword)}, "535 5.7.8"},
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
			dial := relay.DialOnly
			if c.signIn {
				dial = relay.Dial
			}
			d, err := dial(c.listener)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			last := len(c.dialog) - 1
			for _, command := range c.dialog[:last] {
				if answer := d.Answer("%s", command); !strings.HasPrefix(answer, "2") && !strings.HasPrefix(answer, "3") {
					t.Fatalf("%s: %s", command, answer)
				}
			}
			if answer := d.Answer("%s", c.dialog[last]); !strings.HasPrefix(answer, c.want) || !withCode.MatchString(answer) {
				t.Errorf("got %q, want %s", answer, c.want)
			}
		})
	}
	relay.CheckEmpty(t)
	if sent := sim.Ledger(t); len(sent) > 0 {
		t.Errorf("sent: %+v", sent)
	}
	if n := relay.Metric(t, "graphrelay_messages_accepted_total"); n != 0 {
		t.Errorf("%v messages were accepted", n)
	}
}
