package smtpd

import (
	"bytes"
	"net"
	"strconv"
	"strings"
)

// smtpConn is a client's connection as go-smtp reads and writes it. A Read returns at most
// the rest of one command line, or of one BDAT chunk. What is written is collected until a
// reply is whole.
type smtpConn struct {
	*conn
	due   int    // bytes of the command line that were not read yet
	whole bool   // the command line has its LF
	chunk int64  // bytes of a BDAT chunk that were not read yet
	part  []byte // the beginning of a reply, as written so far

	suppress int // replies to drop, because the client has them already
}

// Read implements net.Conn.
func (c *smtpConn) Read(p []byte) (n int, err error) {
	switch {
	case c.ended:
		return 0, net.ErrClosed
	case c.due == 0 && c.chunk > 0:
		n, err = c.conn.Read(p[:min(int64(len(p)), c.chunk)])
		c.chunk -= int64(n)
		return n, readError(err)
	case c.due == 0:
		if err := c.nextCommand(); err != nil {
			return 0, readError(err)
		}
	}
	n, err = c.conn.Read(p[:min(len(p), c.due)])
	c.due -= n
	return n, err
}

// readError gives errInterrupted, the error of a read within a transaction, the type whose
// code go-smtp sends.
func readError(err error) error {
	if err == errInterrupted {
		return smtpError(err)
	}
	return err
}

// nextCommand waits for the next command line. A line that is too long, or in which the
// connection ended, is passed on as it is, and go-smtp replies to it.
func (c *smtpConn) nextCommand() error {
	line, err := c.peekLine(maxCommand + 1)
	if len(line) == 0 {
		return err
	}
	if c.whole = line[len(line)-1] == '\n'; c.whole {
		line = c.tidyLine(line)
	}
	c.note(line)
	if c.due = len(line); c.whole {
		c.chunk = chunkSize(string(c.command))
	}
	return nil
}

// tidyLine corrects the unread command line, if the listener is configured to.
func (c *smtpConn) tidyLine(line []byte) []byte {
	if !c.server.cfg.Leniency.enabled() || c.replied == 334 { // a response to an AUTH challenge is not a command
		return line
	}
	tidied, changed := c.server.cfg.Leniency.tidy(string(line), c.client)
	if changed {
		c.discard(len(line))
		c.putBack([]byte(tidied))
		line = c.unread[:len(tidied)]
	}
	return line
}

// chunkSize returns the size of the chunk that go-smtp reads after the line if it is a BDAT
// command (RFC 3030 section 2), or 0.
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

// atBody reports whether go-smtp has read exactly the DATA command, so that the body is
// next. It has read more if a line was taken for BDAT here but not by go-smtp, such as a
// response to an AUTH challenge. Then nothing more is read from the connection.
func (c *smtpConn) atBody() bool {
	if c.due == 0 && c.whole && c.chunk == 0 && strings.EqualFold(string(bytes.TrimSpace(c.command)), "DATA") {
		return true
	}
	c.unread, c.readErr = nil, errInterrupted
	return false
}

// endBody puts back rest, which was read after the body, and before it a dot, with which
// go-smtp ends its own reading of DATA.
func (c *smtpConn) endBody(rest []byte) { c.putBack([]byte(".\r\n"), rest) }

// Write implements net.Conn.
func (c *smtpConn) Write(p []byte) (int, error) {
	written := len(p)
	if len(c.part) > 0 {
		p = append(c.part, p...)
	}
	for {
		n := replyLength(p)
		if n == 0 {
			break
		}
		if err := c.forward(p[:n]); err != nil {
			return 0, err
		}
		p = p[n:]
	}
	c.part = append(c.part[:0], p...)
	return written, nil
}

// replyLength returns the length of the first whole reply in p, or 0. A reply ends with
// the line whose fourth character is a space (RFC 5321 section 4.2.1).
func replyLength(p []byte) int {
	for start := 0; ; {
		n := bytes.IndexByte(p[start:], '\n') + 1
		if n == 0 {
			return 0
		}
		if n > 3 && p[start+3] == ' ' {
			return start + n
		}
		start += n
	}
}

// forward sends the client a reply of go-smtp.
func (c *smtpConn) forward(reply []byte) error {
	if c.suppress > 0 {
		c.suppress--
		return nil
	}
	if r := replaced[string(reply)]; r != nil {
		if !c.inBody.Load() { // in a body, the session counts the message
			c.server.metrics.rejected(c.server.cfg.Name, r.Reason)
			c.server.log.Info("refused", "client", c.client.String(), "reason", r.Reason, "answer", r.Error())
		}
		reply = []byte(r.Error() + "\r\n")
	}
	return c.conn.reply(sanitize(reply))
}

// replaced has the replies that go-smtp gives without asking the session, and what the
// client is sent in their place. RFC 4954 section 4 requires 501 for the first.
var replaced = map[string]*Refusal{
	"454 4.7.0 Invalid base64 data\r\n":       errSASLSyntax,
	"552 5.3.4 Max message size exceeded\r\n": errTooLarge,
}

// sanitize returns a reply with a question mark for each control character that is not part
// of a line's end: go-smtp repeats what the client sent.
func sanitize(p []byte) []byte {
	var clean []byte
	for i, b := range p {
		if b >= ' ' && b != 0x7f || b == '\n' || b == '\r' && i+1 < len(p) && p[i+1] == '\n' {
			continue
		}
		if clean == nil {
			clean = bytes.Clone(p)
		}
		clean[i] = '?'
	}
	if clean == nil {
		return p
	}
	return clean
}
