package smtpd

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A message that is too large is refused whole, however it comes, and the session goes on.
func TestTooLarge(t *testing.T) {
	text := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 4<<10) // four times the limit
	for name, send := range map[string]func(c *client){
		"DATA": func(c *client) {
			c.cmd("354", "DATA")
			c.send(text + ".\r\n")
			c.expect("552 5.3.4")
		},
		"BDAT in one": func(c *client) {
			c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
			c.expect("552 5.3.4")
		},
		"BDAT in chunks": func(c *client) {
			refused := false
			for rest := text; rest != ""; {
				n := min(len(rest), 200_000)
				last := ""
				if n == len(rest) {
					last = " LAST"
				}
				c.send(fmt.Sprintf("BDAT %d%s\r\n%s", n, last, rest[:n]))
				switch answer := c.reply(); {
				case strings.HasPrefix(answer, "552 5.3.4"):
					refused = true
				case !refused && !strings.HasPrefix(answer, "250"), refused && !strings.HasPrefix(answer, "502"):
					c.Fatalf("answered %q", answer)
				}
				rest = rest[n:]
			}
			if !refused {
				c.Error("was not refused")
			}
		},
		"BDAT that grows": func(c *client) { // its bare LFs take two bytes
			body := strings.Repeat("\n", 600<<10)
			c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(body), body))
			c.expect("552 5.3.4")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(*Config) {})
			c := b.ready()
			c.envelope()
			send(c)
			refused := 0.0 // by go-smtp or by the session, and counted once
			for _, reason := range []string{"size", "aborted", "internal"} {
				refused += b.counted("graphrelay_messages_rejected_total", "test", reason)
			}
			if refused != 1 || b.counted("graphrelay_messages_rejected_total", "test", "internal") != 0 {
				t.Errorf("%v refusals were counted", refused)
			}
			c.envelope()
			c.cmd("354", "DATA")
			c.send("Subject: next\r\n\r\n.\r\n")
			c.expect("250")
			if got := b.queue.all(); len(got) != 1 || !strings.Contains(string(got[0].data), "Subject: next") {
				t.Errorf("took %d messages, want the second alone", len(got))
			}
		})
	}
}

// A line that never ends takes little memory, and ends the connection.
func TestEndlessLine(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		before func(c *client)
	}{
		"before anything": {func(c *Config) { c.Auth.Mode = AuthRequired }, func(*client) {}},
		"before STARTTLS": {secured(TLSStart), func(*client) {}},
		"to a legacy one": {legacy.change, func(c *client) { c.cmd("250", "EHLO client.test"); c.send("MAIL FROM:<") }},
		"as MAIL":         {func(*Config) {}, func(c *client) { c.cmd("250", "EHLO client.test"); c.send("MAIL FROM:<") }},
		"as AUTH":         {func(c *Config) { c.Auth.Mode = AuthRequired }, func(c *client) { c.cmd("250", "EHLO client.test"); c.send("AUTH PLAIN ") }},
		"as a password":   {func(c *Config) { c.Auth.Mode = AuthRequired }, func(c *client) { c.cmd("250", "EHLO client.test"); c.cmd("334", "AUTH LOGIN Y3Jt") }},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, tt.change)
			c := b.dial()
			c.expect("220")
			tt.before(c)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			chunk := []byte(strings.Repeat("a", 64<<10))
			sent := 0
			for ; sent < 256<<20; sent += len(chunk) {
				if _, err := c.conn.Write(chunk); err != nil {
					break
				}
			}
			runtime.ReadMemStats(&after)
			if sent >= 256<<20 {
				t.Error("all of it was read")
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
				t.Errorf("took %d KiB of memory", used>>10)
			}
			b.waitGone()
			if got := b.queue.all(); len(got) != 0 {
				t.Errorf("took %q", got[0].data[:100])
			}
		})
	}
}

// In a body such a line is read to its end, so that the client learns why it is
// refused, and nothing of it is kept.
func TestEndlessLineInBody(t *testing.T) {
	const size = 32 << 20
	for name, tt := range map[string]struct{ verb, line, answer string }{
		"DATA":          {"DATA\r\n", "a", "554 5.6.0 A line"},
		"BDAT":          {fmt.Sprintf("BDAT %d LAST\r\n", size), "a", "554 5.6.0 A line"},
		"DATA, of CRs":  {"DATA\r\n", "\r", "250"}, // they come to one line's end
		"DATA, of dots": {"DATA\r\n", ".", "554 5.6.0 A line"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(c *Config) { c.Message.Bytes = 2 * size })
			c := b.ready()
			c.envelope()
			c.send(tt.verb)
			if strings.HasPrefix(tt.verb, "DATA") {
				c.expect("354")
			}
			piece := []byte(strings.Repeat(tt.line, 64<<10))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range size / len(piece) {
				if _, err := c.conn.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasPrefix(tt.verb, "DATA") {
				c.send("\r\n.\r\n")
			}
			c.expect(tt.answer)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
				t.Errorf("took %d KiB of memory", used>>10)
			}
			for _, m := range b.queue.takeTexts() {
				if m != "\r\n" {
					t.Errorf("took %d bytes", len(m))
				}
			}
			c.cmd("250", "NOOP")
		})
	}
}

// A message may have exactly SIZE bytes (RFC 1870), counted as they are stored.
func TestExactlyAsLarge(t *testing.T) {
	const limit = 64 << 10
	b := start(t, func(c *Config) { c.Message.Bytes = limit })
	c := b.ready()
	for more, answer := range map[int]string{-1: "250", 0: "250", 1: "552 5.3.4"} {
		text := strings.Repeat("x\r\n", limit/3-1)
		text += strings.Repeat("x", limit+more-len(text)-2) + "\r\n"
		c.envelope()
		c.cmd("354", "DATA")
		c.send(text + ".\r\n")
		c.expect(answer)
		c.envelope()
		c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
		c.expect(answer)
		bare := strings.Replace(text, "\r\n", "\n", 10)
		c.envelope()
		c.cmd("354", "DATA")
		c.send(bare + ".\r\n")
		c.expect(answer)
		for _, got := range b.queue.takeTexts() {
			if got != text || len(got) > limit {
				t.Errorf("took %d bytes, want %d", len(got), len(text))
			}
		}
	}
}

// A client sends 40 MB to a listener that announces 25 MB, without SIZE in MAIL.
func TestLargeWithoutSize(t *testing.T) {
	b := start(t, func(c *Config) { c.Message.Bytes = 25_000_000 })
	c := b.ready()
	c.cmd("552 5.3.4", "MAIL FROM:<a@contoso.test> SIZE=40000000")
	c.envelope()
	c.cmd("354", "DATA")
	c.send("Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 40_000) + "\r\r\n.\r\n") // the end that go-smtp misses
	c.expect("552 5.3.4 The message is larger")
	c.envelope()
	c.cmd("354", "DATA")
	c.cmd("250", "Subject: next\r\n\r\n.")
	if got := b.queue.takeTexts(); len(got) != 1 || got[0] != "Subject: next\r\n\r\n" {
		t.Errorf("took %d messages, want the second alone", len(got))
	}
}
