package smtpd

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// TestSessions follows one connection through its states.
func TestSessions(t *testing.T) {
	b := start(t, func(c *Config) { c.Auth.Mode, c.TLS.Mode = AuthOptional, TLSStart })
	only := func() Session {
		t.Helper()
		list, total := b.server.Sessions(10)
		if len(list) != 1 || total != 1 {
			t.Fatalf("%d of %d sessions", len(list), total)
		}
		return list[0]
	}
	first := b.dial()
	first.expect("220")
	if s := only(); s.State != SessionConnecting || s.Client.String() != "127.0.0.1" || s.TLS != "" || s.Since.IsZero() {
		t.Errorf("before EHLO: %+v", s)
	}
	_ = first.conn.Close()
	b.wait("the end of the first", func() bool { _, n := b.server.Sessions(1); return n == 0 })

	c := b.ready()
	if s := only(); s.State != SessionIdle || s.Hello != "client.test" || s.TLS != "TLS 1.3" || s.User != "" {
		t.Errorf("after EHLO: %+v", s)
	}
	c.cmd("235", "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00crm\x00secret")))
	c.envelope()
	if s := only(); s.State != SessionEnvelope || s.User != "crm" {
		t.Errorf("after RCPT: %+v", s)
	}
	before := only().Bytes
	c.cmd("354", "DATA")
	c.send("Subject: x\r\n\r\n" + strings.Repeat("x", 2000) + "\r\n")
	b.wait("the message", func() bool { s := only(); return s.State == SessionMessage && s.Bytes >= before+2000 })
	c.cmd("250", ".")
	b.wait("the state after the message", func() bool { return only().State == SessionIdle })
	if s := only(); s.Messages != 1 {
		t.Errorf("after the message: %+v", s)
	}
	second := b.ready()
	if list, total := b.server.Sessions(1); len(list) != 1 || total != 2 || list[0].User != "crm" {
		t.Errorf("of two, the older one: %+v, %d", list, total)
	}
	second.cmd("221", "QUIT")
}

// TestRefusalsAreRemembered has a client be refused at each step.
func TestRefusalsAreRemembered(t *testing.T) {
	log := refusals.New()
	b := start(t, func(c *Config) {
		c.Refusals, c.Auth.Mode = log, AuthOptional
		c.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}
		behindProxy(c)
	})
	stranger := b.dialFrom("203.0.113.7")
	stranger.expect("554")
	c := b.dialFrom("192.0.2.9")
	c.expect("220")
	c.cmd("250", "EHLO scanner\u202e.test")
	c.cmd("550", "MAIL FROM:<x@stranger.test>")
	c.cmd("550", "MAIL FROM:<x@stranger.test>")
	c.cmd("250", "MAIL FROM:<a@contoso.test>")
	c.cmd("5", "RCPT TO:<b@example..test>")
	c.cmd("250", "RCPT TO:<b@example.test>")
	c.cmd("354", "DATA")
	c.cmd("550", "X-Refuse: yes\r\n\r\nx\r\n.")
	c.cmd("250", "RSET")
	got := map[string]refusals.Refusal{}
	for _, r := range log.Recent("test", 10) {
		got[string(r.Reason)+" "+r.From+" "+r.To] = r
	}
	for key, want := range map[string]struct {
		client, answer string
		count          int64
	}{
		"network  ":               {"203.0.113.7", "554 5.7.1 Your address", 1},
		"sender x@stranger.test ": {"192.0.2.9", "550 5.7.1 No mailbox", 2},
		"recipient a@contoso.test b@example..test": {"192.0.2.9", "5", 1},
		"sender a@contoso.test ":                   {"192.0.2.9", "550 5.7.1 Not with this header", 1},
	} {
		r, ok := got[key]
		if !ok || r.Client.String() != want.client || r.Count != want.count || !strings.HasPrefix(r.Answer, want.answer) || r.Remedy == "" {
			t.Errorf("%q: got %+v", key, r)
		}
		if r.Reason != reason.Network && r.Hello != "scanner?.test" {
			t.Errorf("%q: the client called itself %q", key, r.Hello)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %d refusals: %+v", len(got), got)
	}
}
