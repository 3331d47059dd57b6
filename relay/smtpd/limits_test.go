package smtpd

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The replies with which a limit is reached.
func TestSessionCounters(t *testing.T) {
	l := SessionLimits{Commands: 5, Errors: 4, BadRecipients: 2, Delay: time.Second}
	tests := []struct {
		name, answers string
		command       string
		delays        string
		text          string // "-": the end without one more answer
	}{
		{"commands", "250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n250 f\r\n", "NOOP", "", "Too many commands"},
		{"one command of many lines", strings.Repeat("250-a\r\n", 9) + "250 b\r\n", "NOOP", "", ""},
		{"errors", "500 a\r\n451 b\r\n500 c\r\n500 d\r\n500 e\r\n", "NOOP", "1s 2s 3s", "Too many errors"},
		{"recipients", "501 a\r\n501 b\r\n553 c\r\n", "rcpt TO:<x>", "", "Too many recipients"},
		{"a recipient is no error", "501 a\r\n501 b\r\n", "rcpt TO:<x>", "", ""},
		{"recipients that are taken or put off", strings.Repeat("250 a\r\n452 b\r\n", 500), "RCPT TO:<x>", "", ""},
		{"recipients put off without end", strings.Repeat("452 b\r\n", 1001), "RCPT TO:<x>", "", "Too many recipients at a time"},
		{"421", "421 4.3.2 stopping\r\n", "NOOP", "", "-"},
		{"a text is no code", "250 421 x\r\n250-500 y\r\n", "NOOP", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m sessionCounters
			var over bool
			var text, delays string
			for rest := []byte(tt.answers); replyLength(rest) > 0; {
				n := replyLength(rest)
				if over {
					t.Fatalf("the end came before %q", rest)
				}
				var delay time.Duration
				if delay, over, text = m.count(replyCode(rest[:n]), l, []byte(tt.command), false); delay > 0 {
					delays += " " + delay.String()
				}
				rest = rest[n:]
			}
			want, got := tt.text, text
			if over && text == "" {
				got = "-"
			}
			if !strings.HasPrefix(got, want) || (got == "") != (want == "") || strings.TrimSpace(delays) != tt.delays {
				t.Errorf("got %q and the delays%s", got, delays)
			}
		})
	}
}

// limited is a listener with small limits.
func limited(t *testing.T) *bench {
	return start(t, func(c *Config) {
		c.Session = SessionLimits{Commands: 8, Errors: 6, BadRecipients: 2, Time: time.Minute, Delay: time.Millisecond}
		c.Message.Recipients = 20
	})
}

// ended wants the end of the connection after an answer.
func (c *client) ended(answer string) {
	c.Helper()
	c.expect(answer)
	if got := c.reply(); got != "" {
		c.Errorf("then came %q", got)
	}
}

func TestTooManyCommands(t *testing.T) {
	c := limited(t).ready() // 220 and EHLO are two
	for range 6 {
		c.cmd("250", "NOOP")
	}
	c.cmd("250", "RSET")
	c.ended("421 4.7.0 Too many commands")
}

// An accepted message starts the count of commands anew; recipients and chunks do not count.
func TestEnoughCommands(t *testing.T) {
	b := limited(t)
	c := b.ready()
	for range 3 {
		c.cmd("250", "NOOP")
		c.cmd("250", "MAIL FROM:<a@contoso.test>")
		for range 20 {
			c.cmd("250", "RCPT TO:<b@example.test>")
		}
		for range 20 {
			c.cmd("250", "BDAT 3\r\nx")
		}
		c.cmd("250 2.0.0 queued", "BDAT 2 LAST\r\n")
	}
	c.envelope()
	c.cmd("354", "DATA")
	c.cmd("250 2.0.0 queued", "Subject: x\r\n\r\n.")
	if n := len(b.queue.all()); n != 4 {
		t.Errorf("%d messages were taken, want 4", n)
	}
}

func TestTooManyErrors(t *testing.T) {
	c := limited(t).ready()
	for range 6 {
		c.cmd("5", "MAIL TO:<b@example.test>")
	}
	c.cmd("5", "DATA")
	c.ended("421 4.7.0 Too many errors")
}

// A client sends to recipients beyond the limit later. Those before it get the mail now.
func TestSurplusRecipients(t *testing.T) {
	b := limited(t)
	c := b.ready()
	c.cmd("250", "MAIL FROM:<a@contoso.test>")
	for i := range 60 {
		c.cmd(map[bool]string{true: "250", false: "452 4.5.3"}[i < 20], fmt.Sprintf("RCPT TO:<b%d@example.test>", i))
	}
	c.cmd("354", "DATA")
	c.cmd("250 2.0.0 queued", "Subject: x\r\n\r\n.")
	if n := len(b.queue.all()[0].Envelope.To); n != 20 {
		t.Errorf("it goes to %d, want 20", n)
	}
}

func TestTooManyBadRecipients(t *testing.T) {
	c := limited(t).ready()
	c.envelope()
	for range 3 {
		c.cmd("501", "RCPT TO:<b@-example.test>")
	}
	c.ended("421 4.7.0 Too many recipients")
}

// Commands that were sent before the connection's end are not executed after it.
func TestNothingAfterTheEnd(t *testing.T) {
	b := limited(t)
	const mail = "MAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
	for _, in := range []string{
		strings.Repeat("NOOP\r\n", 7) + mail,
		"MAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\n" + strings.Repeat("MAIL\r\n", 7) + "DATA\r\nSubject: x\r\n\r\n.\r\n" + mail,
	} {
		c := b.ready()
		c.send(in)
		for got := "-"; got != ""; {
			if got = c.reply(); strings.Contains(got, "queued") {
				t.Errorf("got %q", got)
			}
		}
	}
	if n := len(b.queue.all()); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
}

// A client that never completes a command, and one that never sends a message, are
// disconnected, however often they send a byte.
func TestSlowCommands(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"command": func(c *Config) { c.Timeout = time.Second },
		"session": func(c *Config) { c.Session.Time = time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, change).ready()
			for range 1000 {
				_, gone := c.conn.Write([]byte("N"))
				_ = c.tcp.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
				got, err := c.r.ReadString('\n')
				if timeout, ok := err.(net.Error); gone != nil || err != nil && !(ok && timeout.Timeout()) || strings.HasPrefix(got, "421 4.4.2") {
					return
				}
				if got != "" && !strings.HasPrefix(got, "501") { // go-smtp's, to what there is of the command
					t.Errorf("got %q", got)
				}
			}
			t.Error("the connection goes on")
		})
	}
}

// Another protocol than SMTP ends the connection, and nothing of it is repeated.
func TestNoSMTP(t *testing.T) {
	clientHello := "\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03"
	for _, change := range []func(*Config){secured(TLSNone), secured(TLSStart), secured(TLSImplicit), legacy.change} {
		b := start(t, change)
		for _, in := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "get / HTTP/1.1\n", "POST /x HTTP/1.0\r\n\r\nEHLO x\r\nMAIL FROM:<a@contoso.test>\r\n",
			"CONNECT relay.test:25 HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			clientHello, "\x03\x00\x00\x13\x0e\xe0", "EHLO a\x00b\r\n", "\x00", "NOOP\r\nEHLO \x1b[31m\r\n", "EHLO a\rNOOP\r\n", "X\x7f\r\n",
		} {
			for _, step := range []int{len(in), 1} {
				c := b.dial()
				c.expect("220")
				for i := 0; i < len(in); i += step {
					if _, err := c.conn.Write([]byte(in[i : i+step])); err != nil {
						break // closed already
					}
				}
				got := c.reply()
				if strings.HasPrefix(in, "NOOP") && strings.HasPrefix(got, "250") {
					got = c.reply()
				}
				if got != "" {
					t.Errorf("%s: %q was answered %q", b.mode, in, got)
				}
			}
		}
	}
}

// The same bytes are allowed later, and in a message.
func TestSMTPAllTheSame(t *testing.T) {
	b := start(t, loopback)
	c := b.dial()
	c.expect("220")
	c.cmd("250", "EHLO client.test")
	c.cmd("5", "GET / HTTP/1.1")
	c.envelope()
	c.cmd("354", "DATA")
	c.cmd("250", "Subject: \x1b$B\r\n\r\n\x00\x16\x7f\r\nGET / HTTP/1.1\r\n.")
	c.envelope()
	c.cmd("250 2.0.0 queued", "BDAT 6 LAST\r\n\r\n\x00\x1b")
	c.cmd("501", "MAIL FROM:<a\x1bb@contoso.test>")
	if got := c.cmd("5", "\x1b[3m"); strings.Contains(got, "\x1b") {
		t.Errorf("%q repeats a control character", got)
	}
	if n := len(b.queue.all()); n != 2 {
		t.Errorf("%d messages were taken, want 2", n)
	}
}

func FuzzProtocolCheck(f *testing.F) {
	for _, s := range []string{"EHLO x\r\n", "GET / HTTP/1.1\r\n", "\x16\x03\x01", "MAIL FROM:<>\r\n\x00", "EHLO x\rx", "\nPUT x"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = max(1, min(step, len(in)))
		var whole, parts protocolCheck
		want, got := whole.check(in), ""
		for i := 0; i < len(in) && got == ""; i += step {
			got = parts.check(in[i:min(i+step, len(in))])
		}
		if got != want {
			t.Errorf("%q in steps of %d gave %q, whole %q", in, step, got, want)
		}
	})
}

// At the connection limit, an idle connection is closed for a client that sends mail.
func TestIdleConnectionMakesWayForMail(t *testing.T) {
	b := start(t, behindProxy)
	var idle []*client
	for range 20 {
		c := b.dialFrom("192.0.2.1")
		c.expect("220")
		idle = append(idle, c)
	}
	b.dialFrom("192.0.2.1").expect("421 4.7.0")
	b.server.mu.Lock()
	for c := range b.server.conns {
		if c.client == netip.MustParseAddr("192.0.2.1") {
			c.idle.lastActive.Store(time.Now().Add(-time.Hour).UnixMilli())
		}
	}
	b.server.mu.Unlock()
	c := b.dialFrom("192.0.2.1")
	c.expect("220")
	c.cmd("250", "EHLO client.test")
	c.envelope()
	c.cmd("354", "DATA")
	c.cmd("250", "Subject: x\r\n\r\nbody\r\n.")
	gone := 0
	for _, c := range idle {
		_ = c.tcp.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.r.ReadByte(); err != nil && !strings.Contains(err.Error(), "timeout") {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("%d idle connections were closed, want 1", gone)
	}
}

// The log has a limited number of lines for clients that only connect, and the number of
// the others.
func TestStrangersInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lineLimiter
		written := 0
		for range 5 * maxLinesASecond {
			if ok, _ := l.take(); ok {
				written++
			}
		}
		time.Sleep(time.Second)
		if ok, dropped := l.take(); !ok || written != maxLinesASecond || dropped != 4*maxLinesASecond {
			t.Errorf("%d lines were written, then %v with %d dropped", written, ok, dropped)
		}
	})
}
