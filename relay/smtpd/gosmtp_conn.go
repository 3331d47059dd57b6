package smtpd

import (
	"bytes"
	"net"
	"strings"

	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
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

	transfer bool          // chunks of BDAT are being received
	started  chan struct{} // has a value once the session knows of them

	quoted   string // the local part in a MAIL or RCPT command, if it is quoted
	suppress int    // replies to drop, because the client has them already
	resetDue bool   // RSET comes before the next command, because a MAIL was refused
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
	if c.resetDue {
		c.resetDue = false
		c.suppress++
		c.putBack([]byte("RSET\r\n"))
	}
	line, err := c.peekLine(maxCommand + 1)
	if len(line) == 0 {
		return err
	}
	if c.whole = line[len(line)-1] == '\n'; c.whole {
		line = c.tidyLine(line)
	}
	c.quoted = quotedLocal(string(line))
	c.note(line)
	if c.due = len(line); !c.whole || c.replied == 334 {
		return nil
	}
	size, huge := chunkSize(string(c.command))
	if huge { // the chunk is not read: its bytes would be run as commands
		_ = c.refuse(tooLarge(c.server.cfg.Message.Bytes))
		c.ended = true
		return net.ErrClosed
	}
	c.chunk = size
	c.counters.chunk(size)
	return nil
}

// refuse sends a refusal that the session does not know of.
func (c *smtpConn) refuse(r *Refusal) error {
	if !c.inBody.Load() { // in a body, the session counts the message
		c.server.rejected(refusals.Refusal{Client: c.client, User: c.userName(), Reason: r.Reason, Answer: r.Error()})
		c.server.log.Info("refused", "client", c.client.String(), "reason", r.Reason, "answer", r.Error())
	}
	return c.conn.reply([]byte(r.Error() + "\r\n"))
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
	if string(reply) == chunkTaken && !c.transfer {
		<-c.started
		c.transfer = true
	}
	if r := c.replaced(string(reply)); r != nil {
		c.resetDue = isCommand(c.command, "MAIL")
		return c.refuse(r)
	}
	// RFC 5321 section 4.1.4 ends a transaction with the MAIL that begins another.
	c.resetDue = isCommand(c.command, "MAIL") && replyCode(reply) >= 400 && string(reply) != mailInTransfer
	return c.conn.reply(sanitize(reply))
}

// replaced returns what the client is sent in place of a reply that go-smtp gives without
// asking the session, nil if the reply stays. RFC 4954 section 4 requires 501 for the first.
func (c *smtpConn) replaced(reply string) *Refusal {
	switch reply {
	case "454 4.7.0 Invalid base64 data\r\n":
		return errSASLSyntax
	case "552 5.3.4 Max message size exceeded\r\n":
		return tooLarge(c.server.cfg.Message.Bytes)
	}
	if strings.HasPrefix(reply, "501 5.5.2 Was expecting ") {
		return withoutDomain(string(c.command))
	}
	return nil
}

// withoutDomain returns the refusal of a MAIL or RCPT command whose address is a name alone,
// and nil for any other command.
func withoutDomain(command string) *Refusal {
	_, arg, _ := strings.Cut(strings.TrimRight(command, "\r\n"), ":")
	name, _, ok := cutAddress(strings.Trim(arg, " \t"))
	if !ok || name == "" || strings.ContainsAny(name, "@\"<>:,;=") {
		return nil
	}
	text := "The address " + printable(name) + " has no domain; write it in full, such as name@example.com, or ask the administrator to set add_domain"
	if isCommand([]byte(command), "MAIL") {
		return &Refusal{501, [3]int{5, 5, 2}, reason.Sender, text}
	}
	return &Refusal{501, [3]int{5, 5, 2}, reason.Recipient, text}
}

// go-smtp's replies to a chunk of BDAT that is not the last, and to a MAIL among the chunks,
// which go on.
const (
	chunkTaken     = "250 2.0.0 Continue\r\n"
	mailInTransfer = "502 5.5.1 MAIL not allowed during message transfer\r\n"
)

// transferStarted lets the reply to the first chunk of BDAT go.
func (c *smtpConn) transferStarted() { c.started <- struct{}{} }

// endTransfer is called at the end of each transaction.
func (c *smtpConn) endTransfer() {
	c.transfer = false
	select {
	case <-c.started: // its first chunk was its last, or was refused
	default:
	}
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
