package inprocess

import (
	"net/smtp"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// If a fault needs an operator, log and queue state in one line what to do.
func TestRemedies(t *testing.T) {
	login := func(status int, code, number string) *simulator.Fault {
		return &simulator.Fault{Operation: simulator.OpToken, Status: status, Code: code, Message: number}
	}
	for _, tt := range []struct {
		name, from string
		options    simulator.Options
		fault      *simulator.Fault
		want       string
	}{
		{name: "send-as denied", from: "team@contoso.test", options: simulator.Options{SendAs: map[string][]string{}}, want: "grant anna@contoso.test Send As on team@contoso.test in Exchange"},
		{name: "alias unknown", from: "missing@contoso.test", want: "an alias finds its mailbox where the application has User.Read.All"},
		{name: "no rights", from: "anna@contoso.test", options: simulator.Options{Apps: []simulator.App{{Roles: []string{"Mail.Send"}}}}, want: "grant the application Mail.ReadWrite and Mail.Send with admin consent"},
		{name: "consent missing", from: "anna@contoso.test", fault: login(400, "invalid_grant", "AADSTS65001"), want: "grant admin consent in the Entra admin center"},
		{name: "secret expired", from: "anna@contoso.test", fault: login(401, "invalid_client", "AADSTS7000222"), want: "the client secret has expired; make a new one"},
		{name: "clock wrong", from: "anna@contoso.test", fault: login(401, "invalid_client", "AADSTS700024"), want: "check the clock of this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.SendDelay = -1
			s, url := Simulate(t, tt.options)
			if tt.fault != nil {
				if _, err := s.AddFault(*tt.fault); err != nil {
					t.Fatal(err)
				}
			}
			cfg := Settings(t, t.TempDir(), url, "")
			team, err := config.ParsePattern("team@contoso.test")
			if err != nil {
				t.Fatal(err)
			}
			cfg.Senders = []config.Sender{{Match: team, Mailbox: "anna@contoso.test", From: config.FromOriginal}}
			var log testlog.Buffer
			r := Run(t, cfg, &log)
			if err := smtp.SendMail(r.Address("127.0.0.1:0"), nil, tt.from, []string{"b@example.test"}, []byte("From: "+tt.from+"\r\n\r\nbody\r\n")); err != nil {
				t.Fatal(err)
			}
			told := func() bool {
				list, err := r.Store.List(t.Context(), queue.Filter{})
				if err != nil {
					t.Fatal(err)
				}
				inQueue := false
				for _, m := range list {
					inQueue = inQueue || strings.Contains(m.Detail, tt.want) && !strings.Contains(m.Detail, "\n")
				}
				for line := range strings.Lines(log.String()) {
					if inQueue && strings.Contains(line, tt.want) && strings.Contains(line, `"id"`) {
						return true
					}
				}
				return false
			}
			for end := time.Now().Add(time.Minute); !told(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("nobody is told %q:\n%s", tt.want, log.String())
				}
			}
		})
	}
}
