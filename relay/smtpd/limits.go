package smtpd

import (
	"strings"
	"sync/atomic"
	"time"

	"graphrelay/relay/reason"
)

// maxDelays is how many times SessionLimits.Delay an answer waits at most.
const maxDelays = 10

// sessionCounters counts what a client does by the answers that it gets. It belongs to the
// goroutine of the connection, but for since.
type sessionCounters struct {
	commands      int
	errors        int
	badRecipients int
	surplus       int          // recipients put off
	answered      time.Time    // the last answer, from where on the client is waited for
	since         atomic.Int64 // the last message or the beginning, Unix milliseconds
}

// count takes the code of a reply, and returns what is to be waited for before it is sent,
// and the text of the end if a limit is reached. An answer of 421 is such an end itself,
// with the text "" (RFC 5321 section 3.8). command is what is answered.
func (m *sessionCounters) count(code int, l SessionLimits, command []byte, inBody bool) (delay time.Duration, over bool, text string) {
	switch {
	case code == 421:
		return 0, true, ""
	case isRecipient(command):
		m.countRecipient(code)
	default:
		if code >= 400 {
			m.errors++
			delay = l.Delay * time.Duration(min(max(m.errors-l.Errors/2, 0), maxDelays))
		}
		if !inBody { // chunks are bounded by the message's size and time
			m.commands++
		}
	}
	switch {
	case m.errors > l.Errors:
		return delay, true, "Too many errors; see the answers before this one"
	case m.badRecipients > l.BadRecipients:
		return delay, true, "Too many recipients that are refused; remove them"
	case m.surplus > maxSurplus:
		return delay, true, "Too many recipients at a time; send to fewer"
	case m.commands > l.Commands:
		return delay, true, "Too many commands without a message; connect again"
	}
	return delay, false, ""
}

// maxSurplus is how many recipients a client may name that are put off, since a
// message has no room for them or they come too fast: it sends to those later (RFC
// 5321 section 4.5.3.1.10), and must not be hindered in sending to the others now.
const maxSurplus = 1000

// countRecipient leaves out those that are taken: they have a limit of their own.
func (m *sessionCounters) countRecipient(code int) {
	switch {
	case code >= 500:
		m.badRecipients++
	case code >= 400:
		m.surplus++
	}
}

func isRecipient(command []byte) bool {
	return len(command) >= 4 && strings.EqualFold(string(command[:4]), "RCPT")
}

// restart is called at the end of each message.
func (m *sessionCounters) restart(accepted bool) {
	if accepted {
		m.commands, m.errors, m.badRecipients, m.surplus = 0, 0, 0, 0
	}
	m.since.Store(time.Now().UnixMilli())
}

// replyCode returns the code of a reply, which each of its lines has.
func replyCode(reply []byte) (code int) {
	for _, b := range reply[:min(3, len(reply))] {
		code = 10*code + int(b-'0')
	}
	return code
}

// closeWith ends the connection after an answer; nothing that the client has sent
// already is obeyed any more.
func (c *conn) closeWith(text string) {
	if text != "" {
		_, _ = c.Conn.Write([]byte("421 4.7.0 " + text + "\r\n"))
		c.server.metrics.rejected(c.server.cfg.Name, reason.Limits)
		c.server.log.Info("connection closed", "client", c.client.String(), "reason", reason.Limits, "error", text)
	}
	c.ended = true
}

// pause waits, but for a stop.
func (c *conn) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-c.server.running.Done():
	}
}
