package inprocess

import (
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/signature"
)

// A rule's signature is added before the quoted text, in the form of the body. Messages
// of other rules have none.
func TestSignature(t *testing.T) {
	var s signature.Template
	if err := s.ParseHTML("<p>{{.DisplayName}}, {{.JobTitle}}</p>"); err != nil {
		t.Fatal(err)
	}
	o := simulator.Options{
		Apps:  []simulator.App{{Secret: "simulated", Roles: []string{"Mail.ReadWrite", "Mail.Send", "User.Read.All"}}},
		Users: []simulator.User{{Address: "a@contoso.test", Data: map[string]string{"displayName": "Anna", "jobTitle": "R&D"}}},
	}
	rules := func(cfg *config.Config) {
		cfg.Signatures = []config.Signature{{Name: "sales", Template: &s}}
		cfg.Senders = []config.Sender{{Match: pattern(t, "crm@app.test"), Mailbox: "a@contoso.test", Signature: "sales"},
			{Match: pattern(t, "*@app.test"), Mailbox: "a@contoso.test"}}
	}
	for _, tt := range []struct{ name, from, kind, body, want string }{
		{"html", "crm@app.test", "text/html", "<p>Yes</p><div class=\"yahoo_quoted\">When?</div>",
			"<p>Yes</p><div><br>\n<p>Anna, R&amp;D</p>\n</div>\n<div class=\"yahoo_quoted\">When?</div>\r\n"},
		{"text", "crm@app.test", "text/plain", "Yes\r\n\r\n-----Original Message-----\r\nWhen?",
			"Yes\r\n\r\n-- \r\nAnna, R&D\r\n\r\n-----Original Message-----\r\nWhen?\r\n"},
		{"another rule", "erp@app.test", "text/plain", "Yes", "Yes\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := startPaths(t, o, rules)
			r := p.deliver([]string{"b@example.test"}, "From: CRM <"+tt.from+">\r\nTo: b@example.test\r\nSubject: s\r\nContent-Type: "+tt.kind+"\r\n\r\n"+tt.body+"\r\n")
			if r.State != queue.Sent {
				t.Fatalf("%s %s %s", r.State, r.Reason, r.Detail)
			}
			p.copies(1)
			if got := p.sim.Sent()[0].Body.Content; got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, p.notes(r.ID))
			}
		})
	}
}
