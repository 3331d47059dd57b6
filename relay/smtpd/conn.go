package smtpd

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

// conn is one client's connection as go-smtp reads it: decrypted, with a
// deadline for each read, and with errors that last. After a read has failed,
// every later one fails too, so the rest of a body that timed out is never run
// as commands (RFC 5321 has no way to resynchronise within DATA).
type conn struct {
	net.Conn          // the TCP connection, or the TLS connection above it
	tcp      net.Conn // for Shutdown, while TLS may be coming up
	server   *Server
	client   netip.Addr
	tls      *tls.ConnectionState // nil without TLS
	pending  []byte               // read ahead while TLS was negotiated, or to be replayed
	mute     muter                // what go-smtp says again after the negotiation
	failed   error
	busy     atomic.Bool // a transaction is open: a stop waits for it, and an end of the stream is an error
	deadline atomic.Int64
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	if err := c.SetReadDeadline(c.nextDeadline()); err != nil {
		c.failed = err
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if err != nil && c.busy.Load() {
		err = errCut
	}
	c.failed = err
	return n, err
}

// errCut is how a read fails in a mail transaction. It is no io.EOF, which ends a
// BDAT chunk as if it were whole, and it is of the one type that go-smtp makes a
// 4xx of where it writes the answer itself: the client is to try again.
var errCut = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2},
	Message: "The connection broke or was silent for too long within the message; try again"}

// nextDeadline is the time by which the client has to say more: a steady client
// may take as long as the whole message is allowed to take.
func (c *conn) nextDeadline() time.Time {
	wait := c.server.cfg.Timeout
	if c.server.isStopping() && !c.busy.Load() {
		wait = quitTime
	}
	idle := time.Now().Add(wait)
	if end := c.deadline.Load(); end != 0 {
		if t := time.UnixMilli(end); t.Before(idle) {
			return t
		}
	}
	return idle
}

// limitTime starts the clock for all that is read from now on (a negotiation, one
// message's data); 0 stops it.
func (c *conn) limitTime(d time.Duration) {
	if d == 0 {
		c.deadline.Store(0)
		return
	}
	c.deadline.Store(time.Now().Add(d).UnixMilli())
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	rest := c.mute.filter(p)
	if len(rest) == 0 {
		return len(p), nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(c.server.cfg.Timeout)); err != nil {
		return 0, err
	}
	if _, err := c.Conn.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.server.unregister(c)
	return c.Conn.Close()
}

// muter swallows whole replies.
type muter struct {
	replies int  // replies still to swallow
	last    bool // the line being swallowed ends its reply
	seen    int  // bytes seen of the line
}

// filter returns what of p is to be sent. A reply ends with the line whose
// fourth character is a space (RFC 5321 section 4.2.1).
func (m *muter) filter(p []byte) []byte {
	for i, b := range p {
		if m.replies == 0 {
			return p[i:]
		}
		m.seen++
		if m.seen == 4 {
			m.last = b == ' '
		}
		if b == '\n' {
			if m.last {
				m.replies--
			}
			m.seen, m.last = 0, false
		}
	}
	return nil
}
