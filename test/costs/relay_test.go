package costs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"graphrelay/relay"
	"graphrelay/relay/queue"
	"graphrelay/test/inprocess"
)

// running is a relay in the process of the test, and its queue.
type running struct {
	*relay.Relay
	Store *queue.Queue
}

// startRelay starts a relay whose Graph is canned.
func startRelay(tb testing.TB, g *cannedGraph, log io.Writer) running {
	tb.Helper()
	cfg := inprocess.Settings(tb, tb.TempDir(), g.url, "")
	r, err := relay.Start(tb.Context(), cfg, log)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Stop(); err != nil {
			tb.Error(err)
		}
	})
	store, err := relay.OpenQueue(tb.Context(), cfg, false)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return running{r, store}
}

// sentLog is a log that tells of each message that was sent, once that is recorded.
type sentLog struct{ each chan struct{} }

func newSentLog() sentLog { return sentLog{make(chan struct{}, 1<<16)} }

func (l sentLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"msg":"sent"`)) {
		l.each <- struct{}{}
	}
	return len(p), nil
}

// client is an SMTP client that allocates nothing for a message.
type client struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// transaction is what a client says for one message, and how many replies it awaits before the
// next text.
type transaction [][]byte

func transactionOf(from, message string) transaction {
	return transaction{
		fmt.Appendf(nil, "MAIL FROM:<%s>\r\n", from), []byte("RCPT TO:<anna@example.com>\r\n"), []byte("DATA\r\n"),
		[]byte(strings.TrimSuffix(message, "\r\n") + "\r\n.\r\n"),
	}
}

func dialRelay(tb testing.TB, address string) *client {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	c := &client{tb, conn, bufio.NewReader(conn)}
	c.reply()
	c.say([]byte("EHLO client.test\r\n"))
	return c
}

func (c *client) send(t transaction) {
	for _, text := range t {
		c.say(text)
	}
}

func (c *client) say(text []byte) {
	if _, err := c.conn.Write(text); err != nil {
		c.tb.Fatal(err)
	}
	c.reply()
}

// reply reads a reply that says that all is well.
func (c *client) reply() {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil || line[0] > '3' {
			c.tb.Fatalf("%q, %v", line, err)
		}
		if line[3] == ' ' {
			return
		}
	}
}
