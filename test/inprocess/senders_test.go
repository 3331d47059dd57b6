package inprocess

import (
	"fmt"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// The sender rules decide who sends as whom. Each message is checked in the mailbox.
func TestSenderRules(t *testing.T) {
	const rules = `
senders:
  - {match: "team@contoso.test", mailbox: anna@contoso.test, from: original}
  - {match: "boss@contoso.test", mailbox: anna@contoso.test, from: original, on_behalf_of: true}
  - {match: "*@old.test", envelope: "bulk@*", mailbox: bulk@contoso.test}
  - {match: "*@old.test", mailbox: anna@contoso.test, from: info@contoso.test, reply_to: none}
  - {match: "crm@app.test", users: [crm], mailbox: crm@contoso.test}
  - {match: "*", networks: [127.0.0.0/8], mailbox: scanner@contoso.test}
`
	s, url := Simulate(t, simulator.Options{SendDelay: -1, RequireContract: true})
	cfg := Settings(t, t.TempDir(), url, `]
users: [{name: crm, password_hash: "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", senders: ["*@app.test"]}]`+rules+"#")
	cfg.Listeners[0].Auth = smtpd.AuthOptional
	r := Run(t, cfg, &testlog.Buffer{})
	crm := smtp.PlainAuth("", "crm", "crm-secret", "127.0.0.1")
	for i, tt := range []struct {
		name, envelope, header         string
		auth                           smtp.Auth
		mailbox, from, sender, replyTo string
	}{
		{"a group, sent as", "team@contoso.test", "Team <team@contoso.test>", nil, "anna@contoso.test", "team@contoso.test", "", ""},
		{"on behalf of", "boss@contoso.test", "boss@contoso.test", nil, "anna@contoso.test", "boss@contoso.test", "anna@contoso.test", ""},
		{"by the envelope", "bulk@old.test", "news@old.test", nil, "bulk@contoso.test", "bulk@contoso.test", "", "news@old.test"},
		{"another envelope", "x@old.test", "news@old.test", nil, "anna@contoso.test", "info@contoso.test", "", ""},
		{"a user's", "crm@app.test", "crm@app.test", crm, "crm@contoso.test", "crm@contoso.test", "", "crm@app.test"},
		{"not the user", "crm@app.test", "crm@app.test", nil, "scanner@contoso.test", "scanner@contoso.test", "", "crm@app.test"},
		{"a device without From", "", "", nil, "scanner@contoso.test", "scanner@contoso.test", "", ""},
		{"a device with a broken From", "", "Scanner <scanner>", nil, "scanner@contoso.test", "scanner@contoso.test", "", ""},
	} {
		subject := fmt.Sprint(i, " ", tt.name)
		raw := "Subject: " + subject + "\r\n\r\nbody\r\n"
		if tt.header != "" {
			raw = "From: " + tt.header + "\r\n" + raw
		}
		if err := smtp.SendMail(r.Address("127.0.0.1:0"), tt.auth, tt.envelope, []string{"b@example.test"}, []byte(raw)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		WaitSent(t, s, i+1)
		for _, m := range s.Sent() {
			if m.Subject != subject {
				continue
			}
			var reply []string
			for _, a := range m.ReplyTo {
				reply = append(reply, a.Address)
			}
			sender := ""
			if m.Sender != nil && m.Sender.Address != m.From.Address {
				sender = m.Sender.Address
			}
			if m.Mailbox != tt.mailbox || m.From.Address != tt.from || sender != tt.sender || strings.Join(reply, " ") != tt.replyTo {
				t.Errorf("%s: %s sent as %s, sender %q, reply to %q", tt.name, m.Mailbox, m.From.Address, sender, reply)
			}
		}
	}
	// A rule does not let a user send as another.
	if err := smtp.SendMail(r.Address("127.0.0.1:0"), crm, "crm@app.test", []string{"b@example.test"}, []byte("From: team@contoso.test\r\n\r\nx\r\n")); err == nil || !strings.HasPrefix(err.Error(), "550 ") {
		t.Errorf("the user as another: %v", err)
	}
	for _, v := range s.Violations() {
		t.Errorf("contract broken: %+v", v)
	}
}

// A rule with send_denied: fallback sends from its mailbox what Exchange refuses to send as
// the sender; without, the message fails.
func TestSendDeniedRules(t *testing.T) {
	const rules = `]
senders:
  - {match: "erp@app.test", mailbox: anna@contoso.test, from: original, send_denied: fallback}
  - {match: "crm@app.test", mailbox: anna@contoso.test, from: original}
#`
	s, url := Simulate(t, simulator.Options{SendDelay: -1, RequireContract: true, SendAs: map[string][]string{}})
	r := Run(t, Settings(t, t.TempDir(), url, rules), &testlog.Buffer{})
	for _, from := range []string{"crm@app.test", "erp@app.test"} {
		raw := "From: App <" + from + ">\r\nSubject: " + from + "\r\n\r\nbody\r\n"
		if err := smtp.SendMail(r.Address("127.0.0.1:0"), nil, from, []string{"b@example.test"}, []byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		failed, err := r.Store.List(t.Context(), queue.Filter{States: []queue.State{queue.Failed}, From: "crm@app.test"})
		if err != nil || time.Now().After(end) {
			t.Fatalf("%v, %v", failed, err)
		}
		sent := slices.DeleteFunc(s.Sent(), func(m simulator.Message) bool { return strings.Contains(m.Subject, " ") }) // without the bounce
		if len(failed) == 1 && len(sent) == 1 {
			if m := sent[0]; m.Subject != "erp@app.test" || m.From.Address != "anna@contoso.test" || len(m.ReplyTo) != 1 || m.ReplyTo[0].Address != "erp@app.test" {
				t.Errorf("%q was sent as %v, reply to %v", m.Subject, m.From, m.ReplyTo)
			}
			return
		}
	}
}
