package smtpd

import (
	"strings"

	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// protocolCheck recognizes other protocols than SMTP in what a client sends before its first
// MAIL, so that nothing of a browser or a scanner is executed or repeated.
type protocolCheck struct {
	word  []byte // the beginning of the current line
	later bool   // the current line is not the first
	cr    bool   // the last byte was CR
	done  bool
}

// longestVerb is how many bytes of a line are compared: those of "OPTIONS ".
const longestVerb = 8

// check checks the next bytes, and returns what is wrong with them, or "".
func (o *protocolCheck) check(p []byte) string {
	for i := 0; i < len(p) && !o.done; i++ {
		b := p[i]
		if b == 0x16 && len(o.word) == 0 && !o.later {
			return "TLS where plain text is expected"
		}
		if b < ' ' && b != '\t' && b != '\r' && b != '\n' || b == 0x7f || o.cr && b != '\n' && b != '\r' {
			return "control characters in a command"
		}
		o.cr = b == '\r'
		if b == '\n' {
			o.word, o.later = o.word[:0], true
			continue
		}
		if len(o.word) < longestVerb {
			o.word = append(o.word, b)
			if what := o.verb(strings.ToUpper(string(o.word))); what != "" {
				return what
			}
		}
	}
	return ""
}

// verb checks the beginning of a line.
func (o *protocolCheck) verb(start string) string {
	switch start {
	case "MAIL":
		o.done = true // a message may follow
	case "GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "CONNECT ", "DELETE ", "PATCH ", "TRACE ", "PRI ":
		if !o.later {
			return "HTTP where SMTP is expected"
		}
	}
	return ""
}

// firstPart is how many bytes of the first line greet waits for.
const firstPart = 512

// greet greets the client and waits for its first line. An error is returned by the next
// read.
func (c *conn) greet() {
	_ = c.reply([]byte("220 " + c.server.greeting() + "\r\n"))
	_, _ = c.peekLine(firstPart)
}

// rejectProtocol ends the connection without a reply.
func (c *conn) rejectProtocol(what string) {
	c.server.rejected(refusals.Refusal{Client: c.client, Reason: reason.Protocol, Text: what})
	c.server.logLimited("connection closed", "client", c.client.String(), "reason", reason.Protocol, "error", what)
	c.ended = true
}
