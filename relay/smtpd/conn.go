package smtpd

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// conn is a client's connection: decrypted, with a deadline for each read, and with
// errors that last. After a read has failed, every later one fails too, so the rest of a
// body that timed out is never run as commands (RFC 5321 has no way to resynchronise
// within DATA).
type conn struct {
	net.Conn          // the TCP connection, or the TLS connection above it
	tcp      net.Conn // the TCP connection, which Shutdown may use during a handshake
	server   *Server
	client   netip.Addr
	guest    bool                 // see Identity
	tls      *tls.ConnectionState // nil without TLS

	unread  []byte // read ahead, or put back
	buffer  []byte // the array of unread, to be used again
	scanned int    // bytes of unread that are known to hold no LF
	readErr error  // the error of the first read that failed

	inTransaction atomic.Bool // MAIL was accepted: Shutdown waits, and the end of the stream is an error
	inBody        atomic.Bool // the data of a message is being received
	clock         clock
	idle          idle
	seen          // what Sessions shows

	protocol protocolCheck
	counters sessionCounters
	command  []byte // the beginning of the last command line
	replied  int    // the code of the last reply
	ended    bool   // nothing more is read or sent, whatever the client has sent already
}

func newConn(nc net.Conn, s *Server) *conn {
	c := &conn{Conn: nc, tcp: nc, server: s}
	c.counters.answered = time.Now()
	c.since = c.counters.answered
	c.counters.restart(false)
	c.idle.begin()
	return c
}

// Read implements net.Conn. It returns bytes that were put back before others.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.receive(p)
	}
	n := copy(p, c.unread)
	c.discard(n)
	return n, nil
}

// discard removes the first n bytes of unread.
func (c *conn) discard(n int) {
	c.unread, c.scanned = c.unread[n:], max(0, c.scanned-n)
	if len(c.unread) == 0 {
		c.unread = c.buffer[:0]
	}
}

// putBack inserts text before unread.
func (c *conn) putBack(text ...[]byte) {
	c.unread, c.scanned = slices.Concat(append(text, c.unread)...), 0
}

// readAhead is the least size of a buffer for lines.
const readAhead = 512

// fill reads once from the network, and appends to unread.
func (c *conn) fill() error {
	if cap(c.unread)-len(c.unread) < readAhead/2 {
		c.unread = append(make([]byte, 0, 2*len(c.unread)+readAhead), c.unread...)
		c.buffer = c.unread[:0]
	}
	n, err := c.receive(c.unread[len(c.unread):cap(c.unread)])
	c.unread = c.unread[:len(c.unread)+n]
	return err
}

// peekLine waits for the next line and returns it, LF included, without consuming it. The
// line has no LF if it is longer than maxLength bytes, or if the connection failed,
// with err. As soon as the client is seen to speak another protocol, the connection is ended
// and peekLine returns net.ErrClosed.
func (c *conn) peekLine(maxLength int) (line []byte, err error) {
	for {
		end := bytes.IndexByte(c.unread[c.scanned:], '\n') + 1
		line = c.unread
		if end > 0 {
			line = line[:c.scanned+end]
		}
		if what := c.protocol.check(line[c.scanned:]); what != "" {
			c.rejectProtocol(what)
			return nil, net.ErrClosed
		}
		if end > 0 {
			return line, nil
		}
		if c.scanned = len(line); c.scanned >= maxLength {
			return line, nil
		}
		if err := c.fill(); err != nil {
			return line, err
		}
	}
}

// maxCommandSeen is how many bytes of a command line are recorded.
const maxCommandSeen = 64

// note records the command that the next reply answers.
func (c *conn) note(line []byte) {
	c.command = append(c.command[:0], line[:min(len(line), maxCommandSeen)]...)
}

// receive reads from the network. A read may return both bytes and an error (TLS does with
// a close_notify). The error is returned by the next read, when it is known whether it
// falls within a message.
func (c *conn) receive(p []byte) (int, error) {
	if c.readErr == nil {
		c.readErr = c.SetReadDeadline(c.nextDeadline())
	}
	var n int
	if c.readErr == nil {
		c.idle.waiting.Store(true)
		n, c.readErr = c.Conn.Read(p)
		c.idle.waiting.Store(false)
		c.clock.received(n)
		c.bytes.Add(int64(n))
		if c.inBody.Load() {
			c.idle.received(n)
		}
	}
	if n > 0 || c.readErr == nil {
		return n, nil
	}
	if c.inTransaction.Load() {
		c.readErr = errInterrupted
	}
	return 0, c.readErr
}

// nextDeadline returns the deadline of a read. Within a message each read has Timeout, and
// clock bounds the whole. A command must be complete within Timeout of the last reply,
// however many reads it takes.
func (c *conn) nextDeadline() time.Time {
	cfg := c.server.cfg
	idle := time.Now().Add(cfg.Timeout)
	if !c.inBody.Load() {
		idle = c.counters.answered.Add(cfg.Timeout)
		if end := time.UnixMilli(c.counters.since.Load()).Add(cfg.Session.Time); end.Before(idle) {
			idle = end
		}
	}
	if c.server.isStopping() && !c.inTransaction.Load() {
		idle = time.Now().Add(quitTime)
	}
	return c.clock.limit(idle)
}

// reply sends one whole reply, and counts it against the limits of the session. It may
// delay the reply, and end the connection after it.
func (c *conn) reply(text []byte) error {
	if c.ended {
		return nil
	}
	c.replied = replyCode(text)
	delay, over, last := c.counters.count(c.replied, c.server.cfg.Session, c.command, c.inBody.Load())
	c.pause(delay)
	if err := c.SetWriteDeadline(time.Now().Add(c.server.cfg.Timeout)); err != nil {
		return err
	}
	if _, err := c.Conn.Write(text); err != nil {
		return err
	}
	c.counters.answered = time.Now()
	if over {
		c.closeWith(last)
	}
	return nil
}

// Close implements net.Conn. Commands that the client has sent already are not executed:
// go-smtp reads on after QUIT, without a session.
func (c *conn) Close() error {
	c.ended = true
	c.server.unregister(c)
	return c.Conn.Close()
}
