package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// client sends messages of 10 KB as fast as a server takes them, and measures its answers.
type client struct {
	address string
	tls     *tls.Config // nil: without TLS
	auth    bool
	fresh   bool // each message has a connection of its own
}

// sent is what one measurement with a client came to.
type sent struct {
	rate    float64         // messages a second
	waits   []time.Duration // for the answer after the dot, sorted
	resumed float64         // of the connections with TLS, those that went on with an earlier session
}

// wait returns the time in which so many percent of the answers came.
func (s *sent) wait(percent int) time.Duration { return s.waits[(len(s.waits)-1)*percent/100] }

func (c *client) send(t *testing.T, l load) *sent {
	t.Helper()
	if c.tls != nil && c.tls.ClientSessionCache == nil {
		c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	var s sent
	var mu sync.Mutex
	var wg sync.WaitGroup
	var next, opened, resumed atomic.Int64
	start := time.Now()
	for range l.connections {
		wg.Go(func() {
			var open *session
			var waits []time.Duration
			for next.Add(1) <= int64(l.messages) {
				if open == nil {
					var err error
					if open, err = c.open(); err != nil {
						t.Error(err)
						return
					}
					opened.Add(1)
					if open.resumed {
						resumed.Add(1)
					}
				}
				wait, err := open.submit()
				if err != nil {
					t.Error(err)
					return
				}
				waits = append(waits, wait)
				if c.fresh {
					open.quit()
					open = nil
				}
			}
			open.quit()
			mu.Lock()
			defer mu.Unlock()
			s.waits = append(s.waits, waits...)
		})
	}
	wg.Wait()
	s.rate = float64(l.messages) / time.Since(start).Seconds()
	if t.Failed() {
		t.FailNow()
	}
	slices.Sort(s.waits)
	s.resumed = float64(resumed.Load()) / float64(opened.Load())
	return &s
}

// session is one connection of a client.
type session struct {
	net.Conn
	replies *bufio.Reader
	resumed bool
}

func (c *client) open() (*session, error) {
	nc, err := net.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	s := &session{Conn: nc}
	if c.tls != nil {
		secure := tls.Client(nc, c.tls)
		if err := secure.Handshake(); err != nil {
			_ = nc.Close()
			return nil, err
		}
		s.Conn, s.resumed = secure, secure.ConnectionState().DidResume
	}
	s.replies = bufio.NewReader(s.Conn)
	err = s.reply("220")
	if err == nil {
		err = s.ask("250", "EHLO client.test\r\n")
	}
	if err == nil && c.auth {
		err = s.ask("235", "AUTH PLAIN "+harness.PlainResponse(harness.CRMUser, harness.CRMPassword)+"\r\n")
	}
	if err != nil {
		_ = s.Close()
	}
	return s, err
}

func (s *session) ask(code, text string) error {
	if _, err := io.WriteString(s, text); err != nil {
		return err
	}
	return s.reply(code)
}

// reply reads a reply, which must have the code.
func (s *session) reply(code string) error {
	for {
		line, err := s.replies.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("the answer is %q, not %s", line, code)
		}
		if len(line) > 3 && line[3] == ' ' {
			return nil
		}
	}
}

// tenKilobytes is the data of a message.
var tenKilobytes = "From: crm@contoso.test\r\nTo: anna@example.com\r\nSubject: load\r\nMessage-ID: <load@contoso.test>\r\n\r\n" +
	strings.Repeat(strings.Repeat("x", 78)+"\r\n", 128)

// submit sends a message, and returns the time between the dot and the answer.
func (s *session) submit() (time.Duration, error) {
	err := s.ask("250", "MAIL FROM:<crm@contoso.test>\r\n")
	if err == nil {
		err = s.ask("250", "RCPT TO:<anna@example.com>\r\n")
	}
	if err == nil {
		err = s.ask("354", "DATA\r\n")
	}
	if err == nil {
		_, err = io.WriteString(s, tenKilobytes+".\r\n")
	}
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = s.reply("250")
	return time.Since(start), err
}

func (s *session) quit() {
	if s != nil {
		_, _ = io.WriteString(s, "QUIT\r\n")
		_ = s.Close()
	}
}
