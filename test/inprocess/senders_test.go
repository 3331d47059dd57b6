package inprocess

import (
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
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
