package smtpd

import (
	"strings"

	"graphrelay/relay/reason"
)

// protocolCheck looks at what a client says until its first MAIL: what is no SMTP ends
// the connection, before a browser or a scanner gets anything run or repeated.
type protocolCheck struct {
	word  []byte // the beginning of the line
	later bool   // it is not the first line
	cr    bool   // the last byte was CR
	done  bool
}

// longestVerb is the most of a line that is looked at: "OPTIONS ".
const longestVerb = 8

// check returns what is wrong with the bytes; "" if nothing is.
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

func (o *protocolCheck) verb(start string) string {
	switch start {
	case "MAIL":
		o.done = true // bodies may follow
	case "GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "CONNECT ", "DELETE ", "PATCH ", "TRACE ", "PRI ":
		if !o.later {
			return "HTTP where SMTP is expected"
		}
	}
	return ""
}

// firstPart is as much of a client's first line as is waited for.
const firstPart = 512

// greet greets the client and waits for its first line. How that goes shows when go-smtp
// reads on; until then a connection has none of go-smtp's buffers, however slow the
// client is.
func (c *conn) greet() {
	_ = c.reply([]byte("220 " + c.server.greeting() + "\r\n"))
	_, _ = c.peekLine(firstPart)
}

// rejectProtocol ends the connection without an answer.
func (c *conn) rejectProtocol(what string) {
	c.server.metrics.rejected(c.server.cfg.Name, reason.Protocol)
	c.server.logLimited("connection closed", "client", c.client.String(), "reason", reason.Protocol, "error", what)
	c.ended = true
}
