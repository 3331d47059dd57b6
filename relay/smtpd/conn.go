package smtpd

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

// conn is one client's connection as go-smtp reads it: decrypted, with a
// deadline for each read, and with errors that last. After a read has failed,
// every later one fails too, so the rest of a body that timed out is never run
// as commands (RFC 5321 has no way to resynchronise within DATA).
//
// It gives out one command line at a time, so that nothing of a body is with go-smtp
// when DATA is answered: the session reads it, and go-smtp no more than the dot.
type conn struct {
	net.Conn               // the TCP connection, or the TLS connection above it
	tcp           net.Conn // for Shutdown, while TLS may be coming up
	server        *Server
	client        netip.Addr
	tls           *tls.ConnectionState // nil without TLS
	unread        []byte               // read ahead, or to be replayed
	mute          muter                // what go-smtp says again after the negotiation
	readErr       error
	inTransaction atomic.Bool // a transaction is open: a stop waits for it, and an end of the stream is an error
	clock         clock

	command []byte // the beginning of the command line that was given out last
	whole   bool   // it was given out to its end
	chunk   int64  // bytes of a BDAT chunk that are still to be given out as they are

	protocol protocolCheck
	counters sessionCounters
	ended    bool        // a limit is reached: what the client has sent already is not obeyed
	inBody   atomic.Bool // a message's data is on its way
	idle     idle
}

func newConn(nc net.Conn, s *Server) *conn {
	c := &conn{Conn: nc, tcp: nc, server: s}
	c.counters.answered = time.Now()
	c.counters.restart(false)
	c.idle.begin()
	return c
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	switch {
	case c.ended:
		return 0, net.ErrClosed // not io.EOF, which could complete a chunk
	case c.chunk > 0:
		n, err := c.readClient(p[:min(int64(len(p)), c.chunk)])
		c.chunk -= int64(n)
		return n, err
	}
	return c.readCommand(p)
}

// readCommand reads up to the end of one line.
func (c *conn) readCommand(p []byte) (n int, err error) {
	lenient := c.server.cfg.lenient()
	if lenient && (c.whole || len(c.command) == 0) {
		if err := c.gather(p); err != nil {
			return 0, err
		}
	}
	if len(c.unread) == 0 {
		n, err = c.readClient(p)
		if i := bytes.IndexByte(p[:n], '\n'); i >= 0 && i+1 < n {
			c.unread = bytes.Clone(p[i+1 : n])
			n = i + 1
		}
	} else {
		line := c.unread
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		n = copy(p, line)
		c.unread = c.unread[n:]
	}
	c.follow(p[:n])
	if lenient {
		return n, err // gather has looked at it as it came
	}
	if what := c.protocol.check(p[:n]); what != "" {
		c.rejectProtocol(what)
		return 0, net.ErrClosed
	}
	return n, err
}

// follow remembers the command line that was given out.
func (c *conn) follow(p []byte) {
	if c.whole {
		c.command, c.whole = c.command[:0], false
	}
	c.command = append(c.command, p[:min(len(p), maxFollowed-len(c.command))]...)
	if len(p) > 0 && p[len(p)-1] == '\n' {
		c.whole = true
		c.chunk = chunkSize(string(c.command))
	}
}

// maxFollowed is longer than any BDAT command; of a longer line, the rest does not matter.
const maxFollowed = 64

// chunkSize is what go-smtp reads behind a BDAT command (RFC 3030 section 2); 0 where
// it goes on with the next line.
func chunkSize(line string) int64 {
	fields := strings.Fields(line)
	if len(fields) < 2 || len(fields) > 3 || !strings.EqualFold(fields[0], "BDAT") ||
		len(fields) == 3 && !strings.EqualFold(fields[2], "LAST") {
		return 0
	}
	size, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return 0
	}
	return int64(size)
}

// atBody says whether all that go-smtp was given is the DATA command, so that the body
// comes next. It was given more where a line looked like BDAT and was none, such as an
// answer to an AUTH challenge: then nothing more is read.
func (c *conn) atBody() bool {
	if c.whole && c.chunk == 0 && strings.EqualFold(strings.TrimSpace(string(c.command)), "DATA") {
		return true
	}
	c.unread, c.readErr = nil, errInterrupted
	return false
}

// endBody puts back the end of the data, for go-smtp to find, and what came behind it.
func (c *conn) endBody(rest []byte) {
	c.unread = slices.Concat([]byte(".\r\n"), rest, c.unread)
}

// readClient reads what the client sends. A read may bring both bytes and the end (TLS does,
// with a close_notify): how it ended counts once the bytes are used up, since only then
// it shows whether that is within a message.
func (c *conn) readClient(p []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	if c.readErr == nil {
		c.readErr = c.SetReadDeadline(c.nextDeadline())
	}
	var n int
	if c.readErr == nil {
		c.idle.waiting.Store(true)
		n, c.readErr = c.Conn.Read(p)
		c.idle.waiting.Store(false)
		c.clock.received(n)
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

// errInterrupted is how a read fails in a mail transaction. It is no io.EOF, which ends a
// BDAT chunk as if it were whole, and it is of the one type that go-smtp makes a
// 4xx of where it writes the answer itself: the client is to try again.
var errInterrupted = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2},
	Message: "The connection broke, or was silent or too slow for too long, within the message; try again"}

// nextDeadline is the time by which the client has to say more: a steady client
// may take as long as the whole message is allowed to take, but each command has to
// be there in time.
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

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	rest := c.own(c.mute.filter(p))
	if len(rest) == 0 || c.ended {
		return len(p), nil
	}
	delay, over, text := c.counters.count(rest, c.server.cfg.Session, c.command, c.inBody.Load())
	c.pause(delay)
	if err := c.SetWriteDeadline(time.Now().Add(c.server.cfg.Timeout)); err != nil {
		return 0, err
	}
	if _, err := c.Conn.Write(plain(rest)); err != nil {
		return 0, err
	}
	c.counters.answered = time.Now()
	if over {
		c.closeWith(text)
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
	replies int // replies still to swallow
	scan    replyScanner
}

// filter returns what of p is to be sent.
func (m *muter) filter(p []byte) []byte {
	for i, b := range p {
		if m.replies == 0 {
			return p[i:]
		}
		if m.scan.ends(b) {
			m.replies--
		}
	}
	return nil
}
