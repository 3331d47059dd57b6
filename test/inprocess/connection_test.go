package inprocess

import (
	"fmt"
	"io"
	"net/smtp"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// connectionsConfig has two tenants. The user news sends through the second from any
// domain. One rule names the first tenant, and one a mailbox in a domain of no
// connection.
const connectionsConfig = `
hostname: relay.test
data_dir: %s
listeners: [{name: open, address: "127.0.0.1:0", auth: optional}]
users:
  - {name: crm, password_hash: %q, senders: ["*"]}
  - {name: news, password_hash: %[2]q, senders: ["*@contoso.test", "*@third.test", "*@printers.local"], connection: fabrikam}
connections:
  - {name: contoso, tenant: contoso.test, client_id: &id 22222222-2222-2222-2222-222222222222, client_secret: one,
     domains: [contoso.test], endpoints: {login: %[3]q, graph: %[3]q}}
  - {name: fabrikam, tenant: fabrikam.test, client_id: *id, client_secret: two,
     domains: [fabrikam.test], endpoints: {login: %[4]q, graph: %[4]q}}
senders:
  - {match: "alarm@printers.local", mailbox: alarm@contoso.test, connection: contoso}
  - {match: "*@printers.local", mailbox: scanner@contoso.test}
  - {match: "*@lab.local", mailbox: lab@fourth.test, connection: fabrikam}
admin: {address: "localhost:0"}
`

// The connection is that of the rule, of the user or of the domain, in this order, and it
// decides about sign-in, mailbox and bounce. No connection lets a client send as another.
func TestWhichConnection(t *testing.T) {
	contoso, first := Simulate(t, simulator.Options{RequireContract: true, Apps: []simulator.App{{Tenant: "contoso.test", Secret: "one"}}})
	fabrikam, second := Simulate(t, simulator.Options{RequireContract: true, Apps: []simulator.App{{Tenant: "fabrikam.test", Secret: "two"}}})
	cfg, err := config.Parse(fmt.Appendf(nil, connectionsConfig, filepath.ToSlash(t.TempDir()), crmHash, first, second), "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := Run(t, cfg, io.Discard)
	send := func(user, from string) error {
		var auth smtp.Auth
		if user != "" {
			auth = smtp.PlainAuth("", user, "crm-secret", "127.0.0.1")
		}
		return smtp.SendMail(r.Address("127.0.0.1:0"), auth, from, []string{"b@example.test"}, []byte("From: "+from+"\r\nSubject: "+from+"\r\n\r\ntext\r\n"))
	}
	for _, tt := range []struct {
		user, from string
		sim        *simulator.Simulator // nil: refused
		mailbox    string               // or what the refusal says
	}{
		{"", "anna@contoso.test", contoso, "anna@contoso.test"},
		{"crm", "anna@contoso.test", contoso, "anna@contoso.test"},
		{"crm", "x@fabrikam.test", fabrikam, "x@fabrikam.test"},
		{"crm", "n@third.test", nil, "No mailbox sends for n@third.test"},
		{"news", "anna@contoso.test", fabrikam, "anna@contoso.test"},
		{"news", "n@third.test", fabrikam, "n@third.test"},
		{"news", "ceo@fabrikam.test", nil, "may not send as ceo@fabrikam.test"},
		{"news", "hp@printers.local", fabrikam, "scanner@contoso.test"},
		{"crm", "hp@printers.local", contoso, "scanner@contoso.test"},
		{"news", "alarm@printers.local", contoso, "alarm@contoso.test"},
		{"", "device@lab.local", fabrikam, "lab@fourth.test"},
		{"news", "device@lab.local", nil, "may not send as device@lab.local"},
	} {
		before := len(contoso.Ledger()) + len(fabrikam.Ledger())
		err := send(tt.user, tt.from)
		if tt.sim == nil {
			if err == nil || !strings.Contains(err.Error(), tt.mailbox) {
				t.Errorf("%q as %s: %v", tt.user, tt.from, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%q as %s: %v", tt.user, tt.from, err)
		}
		for i := 0; i < 3000 && len(contoso.Ledger())+len(fabrikam.Ledger()) == before; i++ {
			time.Sleep(10 * time.Millisecond)
		}
		ledger := tt.sim.Ledger()
		if len(ledger) == 0 || ledger[len(ledger)-1].Subject != tt.from || ledger[len(ledger)-1].Mailbox != tt.mailbox {
			t.Errorf("%q as %s: the last of %d is %+v", tt.user, tt.from, len(ledger), ledger[max(0, len(ledger)-1):])
		}
	}

	sent := len(contoso.Ledger())
	if _, err := fabrikam.AddFault(simulator.Fault{Operation: simulator.OpCreate, Status: 400, Code: "ErrorInvalidRecipients", Count: 1}); err != nil {
		t.Fatal(err)
	}
	before := len(fabrikam.Ledger())
	if err := send("news", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, fabrikam, before+1)
	last := fabrikam.Ledger()[before]
	if last.Mailbox != "anna@contoso.test" || strings.Join(last.Recipients(), " ") != "anna@contoso.test" || !strings.HasPrefix(last.Subject, "Undelivered") || len(contoso.Ledger()) != sent {
		t.Errorf("the bounce: %+v", last)
	}
}

// Two connections of one application share what Graph allows it for a mailbox, over a
// reload too, one that brings the second connection included.
func TestOneApplication(t *testing.T) {
	s, url := Simulate(t, simulator.Options{RequireContract: true, Latency: 20 * time.Millisecond, SendDelay: -1})
	dir := t.TempDir()
	load := func(connections int) *config.Config {
		cfg := Settings(t, dir, url, "")
		cfg.Delivery.MailboxConcurrency = 1
		for i := range connections {
			other := cfg.Connections[0]
			other.Name, other.Domains = fmt.Sprint("other", i), nil
			match, err := config.ParsePattern(fmt.Sprintf("%d@printers.local", i))
			if err != nil {
				t.Fatal(err)
			}
			cfg.Connections = append(cfg.Connections, other)
			cfg.Senders = append(cfg.Senders, config.Sender{Match: match, Mailbox: "a@contoso.test", Connection: other.Name})
		}
		return cfg
	}
	r := Run(t, load(1), io.Discard)
	sent := 0
	for connections := 1; connections <= 2; connections++ {
		for range 5 {
			for _, from := range []string{"a@contoso.test", "0@printers.local", "1@printers.local"}[:connections+1] {
				if err := smtp.SendMail(r.Address("127.0.0.1:0"), nil, from, []string{"b@example.test"}, []byte("From: "+from+"\r\n\r\ntext\r\n")); err != nil {
					t.Fatal(err)
				}
				sent++
			}
		}
		if connections == 1 {
			if err := r.Reload(load(2)); err != nil {
				t.Fatal(err)
			}
		}
	}
	WaitSent(t, s, sent)
	if n := s.Stats().MaxConcurrency["a@contoso.test"]; n != 1 {
		t.Errorf("%d requests at a time to the mailbox, want 1", n)
	}
}
