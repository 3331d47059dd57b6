package smtpd

import (
	"strings"
	"sync/atomic"
	"time"

	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// maxDelays is the most that a reply is delayed, in multiples of SessionLimits.Delay.
const maxDelays = 10

// sessionCounters counts the replies that a client is sent, and with them its commands and
// errors. It is used by the goroutine of the connection alone, except for since.
type sessionCounters struct {
	commands      int
	errors        int
	badRecipients int
	chunks        int          // of BDAT, within a message
	chunkBytes    int64        // of all chunks
	emptyChunk    bool         // the last chunk has no bytes
	surplus       int          // recipients refused for now
	answered      time.Time    // the last reply
	since         atomic.Int64 // the last message or the beginning, in Unix milliseconds
}

// count counts a reply with the given code to command. It returns how long to delay the
// reply, and whether the connection is over after it. text is then the text of a further
// 421, or "" if the reply itself is one (RFC 5321 section 3.8).
func (m *sessionCounters) count(code int, l SessionLimits, command []byte, inBody bool) (delay time.Duration, over bool, text string) {
	switch {
	case code == 421:
		return 0, true, ""
	case isCommand(command, "RCPT"):
		m.countRecipient(code)
	default:
		if code >= 400 {
			m.errors++
			delay = l.Delay * time.Duration(min(max(m.errors-l.Errors/2, 0), maxDelays))
		}
		if inBody && isCommand(command, "BDAT") && !m.emptyChunk {
			m.chunks++
		} else {
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
	case m.commands+m.smallChunks() > l.Commands:
		return delay, true, "Too many commands without a message; connect again"
	}
	return delay, false, ""
}

// Chunks of BDAT are limited by the size and the time of the message. A chunk without bytes
// counts as a command, and so does each one beyond freeChunks for which the chunks have
// brought less than fullChunk bytes.
const (
	freeChunks = 1000
	fullChunk  = 64
)

func (m *sessionCounters) chunk(size int64) {
	m.chunkBytes += size
	m.emptyChunk = size == 0
}

func (m *sessionCounters) smallChunks() int {
	return max(m.chunks-freeChunks-int(m.chunkBytes/fullChunk), 0)
}

// maxSurplus is how many recipients may be refused for now, because the message has too many
// or a rate is exceeded. The client sends to them later (RFC 5321 section 4.5.3.1.10), and
// must be able to send to the others now.
const maxSurplus = 1000

// countRecipient counts refused recipients. Accepted ones have a limit of their own.
func (m *sessionCounters) countRecipient(code int) {
	switch {
	case code >= 500:
		m.badRecipients++
	case code >= 400:
		m.surplus++
	}
}

// isCommand reports whether a command line begins with a verb of four letters.
func isCommand(line []byte, verb string) bool {
	return len(line) >= 4 && strings.EqualFold(string(line[:4]), verb)
}

// restart starts the counting anew after an accepted message, and the session's time after
// any.
func (m *sessionCounters) restart(accepted bool) {
	if accepted {
		m.commands, m.errors, m.badRecipients, m.surplus, m.chunks, m.chunkBytes = 0, 0, 0, 0, 0, 0
	}
	m.since.Store(time.Now().UnixMilli())
}

// replyCode returns the code of a reply, with which each of its lines begins.
func replyCode(reply []byte) (code int) {
	for _, b := range reply[:min(3, len(reply))] {
		code = 10*code + int(b-'0')
	}
	return code
}

// closeWith ends the connection, with a 421 if there is a text. Commands that the client has
// sent already are not executed.
func (c *conn) closeWith(text string) {
	if text != "" {
		_, _ = c.Conn.Write([]byte("421 4.7.0 " + text + "\r\n"))
		c.server.rejected(refusals.Refusal{Client: c.client, User: c.userName(), Reason: reason.Limits, Answer: "421 4.7.0 " + text})
		c.server.log.Info("connection closed", "client", c.client.String(), "reason", reason.Limits, "error", text)
	}
	c.ended = true
}

// pause waits for d, or until the server stops.
func (c *conn) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-c.server.running.Done():
	}
}
