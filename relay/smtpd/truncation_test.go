package smtpd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

var tlsModes = []TLSMode{TLSNone, TLSStart, TLSImplicit}

// ends are the ways in which a client can leave in the middle.
var ends = map[string]func(c *client){
	"close":      func(c *client) { _ = c.tcp.Close() },
	"half-close": func(c *client) { _ = c.tcp.CloseWrite() },
	"reset":      func(c *client) { _ = c.tcp.SetLinger(0); _ = c.tcp.Close() },
	"close_notify": func(c *client) {
		if t, ok := c.conn.(*tls.Conn); ok {
			_ = t.CloseWrite()
		} else {
			_ = c.tcp.CloseWrite()
		}
	},
}

// bodies are messages that are cut before their end.
var cutBodies = map[string]func(c *client){
	"DATA": func(c *client) {
		c.cmd("354", "DATA")
		c.send("Subject: cut\r\n\r\nhalf a li")
	},
	"DATA at a line's end": func(c *client) {
		c.cmd("354", "DATA")
		c.send("Subject: cut\r\n\r\nwhole line\r\n")
	},
	"DATA after the dot": func(c *client) {
		c.cmd("354", "DATA")
		c.send("Subject: cut\r\n\r\nwhole line\r\n.\r")
	},
	"BDAT LAST":            func(c *client) { c.send("BDAT 1000 LAST\r\nSubject: cut\r\n\r\nhalf") },
	"BDAT LAST, no byte":   func(c *client) { c.send("BDAT 1000 LAST\r\n") },
	"BDAT LAST, one short": func(c *client) { c.send("BDAT 15 LAST\r\nSubject: cut\r\n") },
	"BDAT, then nothing": func(c *client) {
		c.send("BDAT 16\r\nSubject: cut\r\n\r\n")
		c.expect("250")
	},
	"BDAT, second chunk cut": func(c *client) {
		c.send("BDAT 16\r\nSubject: cut\r\n\r\n")
		c.expect("250")
		c.send("BDAT 1000 LAST\r\nhalf")
	},
	"BDAT pipelined with the envelope": func(c *client) {
		c.send("RSET\r\nMAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\nBDAT 1000 LAST\r\nSubject: cut\r\n\r\nhalf")
	},
}

// A message that was cut is never taken, however the connection ends (go-smtp
// takes "BDAT n LAST" cut by a close for a whole message).
func TestTruncatedIsNeverMail(t *testing.T) {
	for _, mode := range tlsModes {
		for body, cut := range cutBodies {
			for end, leave := range ends {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, body, end), func(t *testing.T) {
					b := start(t, secured(mode))
					c := b.ready()
					c.envelope()
					cut(c)
					leave(c)
					for reply := c.reply(); reply != ""; reply = c.reply() {
						if strings.Contains(reply, "queued as") {
							t.Errorf("answered %q", reply)
						}
					}
					b.waitGone()
					if got := b.queue.all(); len(got) != 0 {
						t.Errorf("took %q", got[0].data)
					}
				})
			}
		}
	}
}

// waitGone waits until the server has no connection left.
func (b *bench) waitGone() {
	b.Helper()
	for range 2000 {
		b.server.mu.Lock()
		n := len(b.server.conns)
		b.server.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.Fatal("a connection lives on")
}

// Whole messages are taken byte for byte, in one piece or in many.
func TestWholeIsMail(t *testing.T) {
	text := "Subject: whole\r\n\r\n" + strings.Repeat("..line of text\r\n", 2000) + "end without a newline"
	for _, mode := range tlsModes {
		t.Run(string(mode), func(t *testing.T) {
			b := start(t, secured(mode))
			c := b.ready()
			c.envelope()
			c.cmd("354", "DATA")
			stuffed := strings.ReplaceAll(text, "\r\n.", "\r\n..")
			c.send(stuffed + "\r\n.\r\n")
			c.expect("250 2.0.0 queued as 0123456789abcdef")
			c.envelope()
			c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
			c.expect("250 2.0.0 queued as")
			c.envelope()
			for rest := text; rest != ""; {
				n := min(len(rest), 777)
				last := ""
				if n == len(rest) {
					last = " LAST"
				}
				c.send(fmt.Sprintf("BDAT %d%s\r\n%s", n, last, rest[:n]))
				c.expect("250")
				rest = rest[n:]
			}
			got := b.queue.all()
			if len(got) != 3 {
				t.Fatalf("took %d messages, want 3", len(got))
			}
			for i, want := range []string{text + "\r\n", text, text} {
				if string(got[i].data[got[i].Trace:]) != want {
					t.Errorf("message %d differs from what was sent", i)
				}
			}
		})
	}
}

// A body that stalls ends the connection. What follows is never executed as commands.
func TestStalledBody(t *testing.T) {
	for _, body := range []string{"DATA\r\n", "BDAT 1000 LAST\r\n"} {
		t.Run(strings.TrimSpace(body), func(t *testing.T) {
			b := start(t, func(c *Config) { c.Timeout = time.Second })
			c := b.ready()
			c.envelope()
			c.send(body + "Subject: stalled\r\n\r\n")
			if strings.HasPrefix(body, "DATA") {
				c.expect("354")
			}
			b.waitGone()
			_, _ = c.conn.Write([]byte("MAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nx\r\n.\r\n"))
			for reply := c.reply(); reply != ""; reply = c.reply() {
				if !strings.HasPrefix(reply, "4") || strings.Contains(reply, "127.0.0.1") {
					t.Errorf("answered %q, want a 4xx that says nothing of the inside", reply)
				}
			}
			if got := b.queue.all(); len(got) != 0 {
				t.Errorf("took %q", got[0].data)
			}
		})
	}
}

// A body that drips past the time for one message ends too.
func TestSlowBody(t *testing.T) {
	b := start(t, func(c *Config) { c.Message.Time = 300 * time.Millisecond })
	c := b.ready()
	c.envelope()
	c.cmd("354", "DATA")
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = c.conn.Write([]byte("x\r\n"))
		time.Sleep(5 * time.Millisecond)
	}
	if err == nil {
		t.Error("a body may drip for ever")
	}
	b.waitGone()
	if got := b.queue.all(); len(got) != 0 {
		t.Errorf("took %q", got[0].data)
	}
}

// lastRead brings the end together with the last bytes, as TLS does where a
// close_notify comes with them.
type lastRead struct {
	net.Conn
	text string
}

func (c *lastRead) Read(p []byte) (int, error) {
	n := copy(p, c.text)
	if c.text = c.text[n:]; c.text == "" {
		return n, io.EOF
	}
	return n, nil
}

// The end of the connection counts as one within the message even if it was read before the
// message began.
func TestTruncatedInOneRead(t *testing.T) {
	for body, text := range map[string]string{"BDAT": "BDAT 1000 LAST\r\nSubject: cut\r\n\r\nhalf", "DATA": "DATA\r\nSubject: cut\r\n\r\nhalf\r\n"} {
		for _, kind := range []kind{normalizing, legacy} {
			t.Run(body+" "+string(kind), func(t *testing.T) {
				s := newSmuggling(t, kind)
				client, server := net.Pipe()
				s.pipes.conns <- &lastRead{server, kind.toData() + text}
				if replies, _ := io.ReadAll(client); !strings.Contains(string(replies), "451 4.4.2") {
					t.Errorf("answered %q", replies)
				}
				if got := s.queue.takeTexts(); len(got) != 0 {
					t.Errorf("took %q", got[0])
				}
			})
		}
	}
}

// Without our part, go-smtp would give the result of a message that was reset to the next
// one, if aborting the first takes longer: the second would be refused although it is kept,
// or its connection would hang.
func TestResetWithinBDAT(t *testing.T) {
	const lines = "Subject: x\r\n"
	for name, tt := range map[string]struct{ reset, second, answer string }{
		"RSET":                                 {"RSET", "BDAT 2 LAST\r\n\r\n", "250 2.0.0 queued"},
		"EHLO":                                 {"EHLO client.test", "BDAT 2 LAST\r\n\r\n", "250 2.0.0 queued"},
		"RSET, then a message that is refused": {"RSET", "BDAT 10000 LAST\r\n" + strings.Repeat("x", 10000), "554 5.6.0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(*Config) {})
			aborting, release := make(chan struct{}, 9), make(chan struct{})
			b.queue.onAbort = func() {
				aborting <- struct{}{}
				<-release
			}
			c := b.ready()
			c.envelope()
			c.send(fmt.Sprintf("BDAT %d\r\n%s", len(lines), lines))
			c.expect("250")
			c.cmd("250", tt.reset)
			<-aborting
			c.envelope()
			c.send(fmt.Sprintf("BDAT %d\r\n%s", len(lines), lines))
			c.expect("250")
			close(release)
			time.Sleep(20 * time.Millisecond) // for the first to be answered, where it is
			c.send(tt.second)
			c.expect(tt.answer)
			c.cmd("221", "QUIT")
			b.waitGone()
			if n := b.counted("graphrelay_messages_rejected_total", "test", "aborted"); n != 1 {
				t.Errorf("%v messages were counted as aborted, want 1", n)
			}
		})
	}
}

// Errors of the queue become 4xx replies, and leave the session usable.
func TestQueueFaults(t *testing.T) {
	b := start(t, secured(TLSNone))
	c := b.ready()
	send := func(want string) {
		t.Helper()
		c.envelope()
		c.cmd("354", "DATA")
		c.send("Subject: x\r\n\r\n" + strings.Repeat("line\r\n", 10000) + ".\r\n")
		c.expect(want)
	}
	b.queue.fail = fmt.Errorf("wrapped: %w", errNoSpace)
	send("452 4.3.1")
	b.queue.fail = errors.New("disk on fire\r\n250 forged")
	send("451 4.3.0 A fault in the relay")
	b.queue.fail, b.queue.failEnd = nil, errNoSpace
	send("452 4.3.1")
	b.queue.failEnd = nil
	send("250 2.0.0 queued")
}
