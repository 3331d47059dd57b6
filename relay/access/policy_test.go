package access

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/mime"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

func testPolicy(t *testing.T) *Policy {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(fmt.Appendf(nil, `
listeners: [{name: l, address: "127.0.0.1:0", auth: optional}]
users:
  - {name: crm, password_hash: %q, senders: ["*@contoso.test", "legacy@printers.local"]}
connections:
  - {name: contoso, tenant: 11111111-1111-1111-1111-111111111111, client_id: 22222222-2222-2222-2222-222222222222, client_secret: s, domains: [contoso.test]}
  - {name: fabrikam, tenant: 11111111-1111-1111-1111-111111111112, client_id: 22222222-2222-2222-2222-222222222222, client_secret: s, domains: [fabrikam.test, bücher.test]}
senders:
  - {match: "*@printers.local", mailbox: scanner@contoso.test}
  - {match: "quiet@old.local", mailbox: Quiet@fabrikam.test, reply_to: none}
`, hash), "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Config: cfg, Rates: NewRates(), Guard: newGuard(10, 15*time.Minute), MIME: mime.DefaultLimits()})
	p.passwords.cost = bcrypt.MinCost // quick
	return p
}

func newGuard(failures int, block time.Duration) *Guard {
	g := NewGuard()
	g.Configure(failures, block)
	return g
}

func TestRoute(t *testing.T) {
	p := testPolicy(t)
	tests := []struct {
		name, user, from, header string
		lane, shown, replyTo     string // lane "" means refused
	}{
		{"as itself", "", "anna@contoso.test", "From: Anna <Anna@Contoso.test>", "contoso/anna@contoso.test", "Anna@Contoso.test", ""},
		{"header decides", "", "bounce@contoso.test", "From: x@fabrikam.test", "fabrikam/x@fabrikam.test", "x@fabrikam.test", ""},
		{"internationalized domain", "", "info@bücher.test", "From: info@xn--bcher-kva.test", "fabrikam/info@xn--bcher-kva.test", "info@xn--bcher-kva.test", ""},
		{"internationalized domain in Unicode", "", "info@xn--bcher-kva.test", "From: Info@Bücher.test", "fabrikam/info@xn--bcher-kva.test", "Info@Bücher.test", ""},
		{"two Froms that are one", "", "info@bücher.test", "From: info@xn--bcher-kva.test\r\nFrom: info@bücher.test", "fabrikam/info@xn--bcher-kva.test", "info@xn--bcher-kva.test", ""},
		{"rule", "", "hp@printers.local", "From: HP <hp@printers.local>", "contoso/scanner@contoso.test", "scanner@contoso.test", "hp@printers.local"},
		{"rule without reply-to", "", "quiet@old.local", "From: quiet@old.local", "fabrikam/quiet@fabrikam.test", "Quiet@fabrikam.test", ""},
		{"no From", "", "hp@printers.local", "Subject: x", "contoso/scanner@contoso.test", "scanner@contoso.test", "hp@printers.local"},
		{"From without an address", "", "anna@contoso.test", "From: root", "contoso/anna@contoso.test", "anna@contoso.test", ""},
		{"null sender", "", "", "From: anna@contoso.test", "contoso/anna@contoso.test", "anna@contoso.test", ""},
		{"null sender, no From", "", "", "Subject: x", "", "", ""},
		{"unknown From", "", "anna@contoso.test", "From: x@unknown.test", "", "", ""},
		{"user's own", "crm", "anna@contoso.test", "From: anna@contoso.test", "contoso/anna@contoso.test", "anna@contoso.test", ""},
		{"user's rule", "crm", "legacy@printers.local", "From: legacy@printers.local", "contoso/scanner@contoso.test", "scanner@contoso.test", "legacy@printers.local"},
		{"not the user's From", "crm", "anna@contoso.test", "From: x@fabrikam.test", "", "", ""},
		{"user without a record", "gone", "anna@contoso.test", "From: anna@contoso.test", "", "", ""},
		{"loop", "", "anna@contoso.test", strings.Repeat("Received: x\r\n", 51) + "From: anna@contoso.test", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := queue.Entry{Envelope: queue.Envelope{From: tt.from}}
			err := p.Route(smtpd.Identity{User: tt.user}, []byte(tt.header+"\r\nMessage-ID: <1@x>\r\n\r\n"), 100, &e)
			var refusal *smtpd.Refusal
			if tt.lane == "" {
				if !errors.As(err, &refusal) || refusal.Code/100 != 5 {
					t.Fatalf("got %v and %+v, want a refusal", err, e)
				}
				return
			}
			if err != nil || e.Lane.String() != tt.lane || e.From != tt.shown || e.ReplyTo != tt.replyTo || e.MessageID != "<1@x>" {
				t.Errorf("got %v and %+v", err, e)
			}
		})
	}
}

// A Sender counts only where the client might as well have sent from it.
func TestSenderOfAnother(t *testing.T) {
	p := testPolicy(t)
	for sender, want := range map[string]string{
		"assistant@contoso.test": "assistant@contoso.test", // crm may use all of contoso.test
		"x@fabrikam.test":        "",                       // not crm's, and another connection's
		"legacy@printers.local":  "",                       // a rule would show another address
		"root":                   "",
	} {
		e := queue.Entry{Envelope: queue.Envelope{From: "anna@contoso.test"}}
		err := p.Route(smtpd.Identity{User: "crm"}, []byte("From: anna@contoso.test\r\nSender: "+sender+"\r\n\r\n"), 100, &e)
		if err != nil || e.Sender != want {
			t.Errorf("%q gave %q, %v", sender, e.Sender, err)
		}
	}
	// A client of the network may use both, but no mailbox sends for another tenant.
	e := queue.Entry{Envelope: queue.Envelope{From: "anna@contoso.test"}}
	err := p.Route(smtpd.Identity{}, []byte("From: anna@contoso.test\r\nSender: x@fabrikam.test\r\n\r\n"), 100, &e)
	if err != nil || e.Sender != "" {
		t.Errorf("a Sender of another connection gave %q, %v", e.Sender, err)
	}
}

func TestSender(t *testing.T) {
	p := testPolicy(t)
	for from, user := range map[string]string{"": "crm", "a@contoso.test": "", "b@contoso.test": "crm", "x@printers.local": ""} {
		if err := p.Sender(smtpd.Identity{User: user}, from, 0); err != nil {
			t.Errorf("%q of %q: %v", from, user, err)
		}
	}
	for from, user := range map[string]string{"a@unknown.test": "", "a@fabrikam.test": "crm", "x@printers.local": "crm"} {
		var r *smtpd.Refusal
		if err := p.Sender(smtpd.Identity{User: user}, from, 0); !errors.As(err, &r) || r.Code != 550 {
			t.Errorf("%q of %q: %v, want 550", from, user, err)
		}
	}
}

var office = netip.MustParseAddr("192.0.2.1")

func TestAuthenticate(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) { // wrong passwords are answered late
		for range 2 { // the second time it is known
			if err := p.Authenticate(t.Context(), smtpd.Identity{Client: office}, "crm", "secret"); err != nil {
				t.Errorf("the right password: %v", err)
			}
		}
		if p.passwords.known.Len() != 1 {
			t.Errorf("%d passwords are known, want 1", p.passwords.known.Len())
		}
		for _, c := range [][2]string{{"crm", "wrong"}, {"crm", ""}, {"nobody", "secret"}, {"nobody", "crm-secret"}, {"", ""}, {"crm", strings.Repeat("x", 1000)}} {
			var r *smtpd.Refusal
			if err := p.Authenticate(t.Context(), smtpd.Identity{Client: office}, c[0], c[1]); !errors.As(err, &r) || r.Code != 535 {
				t.Errorf("%q gave %v, want 535", c, err)
			}
		}
		if p.passwords.known.Len() != 1 {
			t.Error("a wrong password is known")
		}
	})
}

// What was verified for one user must not pass for another, nor after a change of the hash.
func TestKnownPasswordsAreApart(t *testing.T) {
	p := newPasswords(10, NewVerifications())
	ids := map[[32]byte]bool{}
	for _, c := range [][3]string{{"a", "b", "h"}, {"ab", "", "h"}, {"a", "b", "g"}, {"", "ab", "h"}, {"a", "h", "b"}} {
		ids[p.id(c[0], c[1], c[2])] = true
	}
	if len(ids) != 5 {
		t.Errorf("%d different keys, want 5", len(ids))
	}
}

func TestBounceTo(t *testing.T) {
	p := testPolicy(t)
	for sender, want := range map[string]string{
		"anna@contoso.test":     "anna@contoso.test",
		"HP@printers.local":     "scanner@contoso.test",
		"quiet@old.local":       "Quiet@fabrikam.test",
		"someone@elsewhere.net": "someone@elsewhere.net",
	} {
		if got := p.BounceTo(sender); got != want {
			t.Errorf("%s: %s, want %s", sender, got, want)
		}
	}
}
