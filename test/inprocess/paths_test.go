package inprocess

import (
	"io"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// signedBody is a multipart/signed whose bytes must not change, odd spacing and trailing
// blanks included.
const signedBody = "Content-Type: multipart/signed; protocol=\"application/pgp-signature\";\r\n micalg=pgp-sha256; boundary=s\r\n\r\n" +
	"preamble\r\n--s\r\nContent-Type:  text/plain;   charset=utf-8  \r\n\r\nsigned  text \t\r\nBcc: not a header\r\n\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nSIGNATURE\r\n--s--\r\nepilogue\r\n"

func invitation(method string) string {
	return "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\nCome\r\n--a\r\n" +
		"Content-Type: text/calendar; charset=utf-8" + method + "\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n--a--\r\n"
}

// startPaths starts a relay with one change to its configuration.
func startPaths(t *testing.T, o simulator.Options, change func(*config.Config)) *rig {
	t.Helper()
	o.RequireContract = true
	s, url := Simulate(t, o)
	cfg := Settings(t, t.TempDir(), url, "")
	cfg.Delivery.SendSettle = config.Duration(300 * time.Millisecond)
	cfg.Delivery.RetryDelays = []config.Duration{config.Duration(20 * time.Millisecond)}
	cfg.Delivery.RequestTimeout = config.Duration(2 * time.Second)
	if change != nil {
		change(cfg)
	}
	t.Cleanup(func() { // after the relay's own
		for _, v := range s.Violations() {
			t.Errorf("contract broken: %+v", v)
		}
	})
	r := Run(t, cfg, io.Discard)
	return &rig{T: t, sim: s, cfg: cfg, relay: r}
}

// deliver sends the message and returns its record once it has come to an end.
func (p *rig) deliver(to []string, raw string) queue.Record {
	p.Helper()
	if err := smtp.SendMail(p.relay.Address("127.0.0.1:0"), nil, "a@contoso.test", to, []byte(raw)); err != nil {
		p.Fatal(err)
	}
	var list []queue.Record
	ended := until(func() bool {
		var err error
		if list, err = p.relay.Store.List(p.Context(), queue.Filter{States: []queue.State{queue.Sent, queue.Failed, queue.Held}}); err != nil {
			p.Fatal(err)
		}
		return len(list) > 0
	})
	if !ended {
		p.Fatal("the message came to no end")
	}
	return list[0]
}

// notes returns the message's events with their details.
func (p *rig) notes(id string) string {
	p.Helper()
	_, events, err := p.relay.Store.Get(p.Context(), id)
	if err != nil {
		p.Fatal(err)
	}
	var out []string
	for _, e := range events {
		out = append(out, e.What+" "+e.Detail)
	}
	return strings.Join(out, "\n")
}

func sendOnly(c *config.Config)   { c.Connections[0].MailReadWrite = false }
func dropCopies(c *config.Config) { c.Connections[0].SentItems = false }

const headers = "From: a@contoso.test\r\nTo: B <b@example.test>, ghost@example.test\r\nBcc: c@example.test\r\nReturn-Path: <x@y>\r\nSubject: s\r\nMessage-ID: <1@contoso.test>\r\nMIME-Version: 1.0\r\n"

func TestPaths(t *testing.T) {
	big := strings.Repeat("0123456789abcdef\r\n", 200_000) // 3.6 MB
	tests := []struct {
		name   string
		change func(*config.Config)
		body   string
		path   string // "" means failed
		copies int    // in Sent Items
		note   string
	}{
		{"ordinary", nil, "\r\ntext", "draft", 1, ""},
		{"signed", nil, signedBody, "mime", 1, ""},
		{"signed, send only", sendOnly, signedBody, "sendmail", 1, ""},
		{"signed, no copies", dropCopies, signedBody, "mime", 0, "sent copy removed"},
		{"signed, too large", nil, strings.Replace(signedBody, "SIGNATURE", big, 1), "", 0, "can only go as it is"},
		{"signed, too large, convert", func(c *config.Config) { c.Delivery.LargeSigned = config.LargeSignedConvert },
			strings.Replace(signedBody, "SIGNATURE", big, 1), "draft", 1, "goes as a draft although it is signed"},
		{"invitation", nil, invitation("; method=REQUEST"), "mime", 1, ""},
		{"calendar file", nil, invitation(""), "draft", 1, ""},
		{"invitation, too large", nil, strings.Replace(invitation("; method=REQUEST"), "Come", big, 1), "draft", 1, "goes as a draft although it is calendar"},
		{"send only", sendOnly, "\r\ntext", "sendmail", 1, ""},
		{"send only, too large", sendOnly, "\r\n" + big, "", 0, "Mail.ReadWrite"},
		{"no copies", dropCopies, "\r\ntext", "sendmail", 0, ""},
		{"no copies, too large", dropCopies, "Content-Type: application/x-large\r\nContent-Disposition: attachment\r\n\r\n" + big, "draft", 0, "sent copy removed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startPaths(t, simulator.Options{}, func(c *config.Config) {
				c.Delivery.SendSettle = config.Duration(10 * time.Second) // no answer is lost here
				if tt.change != nil {
					tt.change(c)
				}
			})
			r := p.deliver([]string{"b@example.test", "c@example.test"}, headers+tt.body)
			if tt.path == "" {
				if r.State != queue.Failed || !strings.Contains(r.Detail, tt.note) {
					t.Fatalf("%s: %s %s", r.State, r.Reason, r.Detail)
				}
				p.copies(1) // of the bounce
				if d := p.sim.Ledger(); len(d) != 1 || strings.Join(d[0].Recipients(), " ") != "a@contoso.test" || !strings.HasPrefix(d[0].Subject, "Undelivered Mail") {
					t.Errorf("the ledger holds %+v", d)
				}
				return
			}
			path := graphmail.StepsOf(r.Progress).Path
			if r.State != queue.Sent || path != tt.path {
				t.Fatalf("%s by %q: %s %s", r.State, path, r.Reason, r.Detail)
			}
			if !strings.Contains(p.notes(r.ID), tt.note) {
				t.Errorf("the events lack %q:\n%s", tt.note, p.notes(r.ID))
			}
			ledger := p.sim.Ledger()
			if len(ledger) != 1 || strings.Join(ledger[0].Recipients(), " ") != "b@example.test c@example.test" {
				t.Fatalf("the ledger holds %+v", ledger)
			}
			p.copies(tt.copies)
		})
	}
}

// copies waits until there are so many sent copies and no drafts: an item moves a little
// after it was sent.
func (p *rig) copies(want int) {
	p.Helper()
	if !until(func() bool { return len(p.sim.Sent()) == want && len(p.sim.Drafts()) == 0 }) {
		p.Errorf("%d copies and %d drafts, want %d and 0", len(p.sim.Sent()), len(p.sim.Drafts()), want)
	}
}

// On the MIME path nothing below the header of the message changes, and in it only what
// must.
func TestMIMEIsKept(t *testing.T) {
	p := startPaths(t, simulator.Options{SendDelay: -1}, nil)
	p.deliver([]string{"b@example.test", "hidden@example.test"}, headers+"X-Odd:  kept   as it is \r\n"+signedBody)
	sent := p.sim.Sent()[0]
	raw, ok := p.sim.Content(sent.MIME.ID)
	if !ok {
		t.Fatal("the MIME was not kept")
	}
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	_, want, _ := strings.Cut(signedBody, "\r\n\r\n")
	if body != want {
		t.Errorf("the body changed:\n%q\nwas\n%q", body, want)
	}
	for _, line := range []string{"X-Odd:  kept   as it is ", "Message-ID: <1@contoso.test>", "Bcc: <hidden@example.test>", "Received: from"} {
		if !strings.Contains(head, line) {
			t.Errorf("the header lacks %q:\n%s", line, head)
		}
	}
	for _, gone := range []string{"ghost@", "c@example.test", "Return-Path"} {
		if strings.Contains(head, gone) {
			t.Errorf("the header still has %q:\n%s", gone, head)
		}
	}
}

// A doubtful sendMail cannot be looked up: it is held, or sent again if so configured.
func TestUnknownSendMail(t *testing.T) {
	for resend, want := range map[config.OnUnknown]struct {
		state queue.State
		sends int
	}{config.OnUnknownHold: {queue.Held, 1}, config.OnUnknownResend: {queue.Sent, 2}} {
		t.Run(string(resend), func(t *testing.T) {
			p := startPaths(t, simulator.Options{}, func(c *config.Config) {
				sendOnly(c)
				c.Delivery.OnUnknown = resend
			})
			if _, err := p.sim.AddFault(simulator.Fault{Operation: simulator.OpSendMail, Count: 1, After: true, Reset: true}); err != nil {
				t.Fatal(err)
			}
			r := p.deliver([]string{"b@example.test"}, headers+"\r\ntext")
			if r.State != want.state || len(p.sim.Ledger()) != want.sends {
				t.Errorf("%s (%s) after %d sends", r.State, r.Detail, len(p.sim.Ledger()))
			}
		})
	}
}
