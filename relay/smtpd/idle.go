package smtpd

import (
	"sync/atomic"
	"time"
)

// idle measures how long a client has kept the relay waiting for useful input: an
// authentication, a sender, a recipient, a message or a part of one.
type idle struct {
	waiting    atomic.Bool  // for bytes of the client
	lastActive atomic.Int64 // the last useful input, in Unix milliseconds
	unmarked   int          // bytes of a message since then
}

// A connection without useful input for this long may be closed for a new one when a limit
// of connections is reached. The longer time applies within a mail transaction.
const (
	idleGrace = 5 * time.Second
	mailGrace = time.Minute
)

// steadyBytes of a message count as useful input.
const steadyBytes = 4 << 10

func (i *idle) begin() {
	i.mark()
	i.waiting.Store(true)
}

// mark records useful input.
func (i *idle) mark() { i.lastActive.Store(time.Now().UnixMilli()) }

// received records n bytes of a message.
func (i *idle) received(n int) {
	if i.unmarked += n; i.unmarked >= steadyBytes {
		i.unmarked = 0
		i.mark()
	}
}

// excess returns by how much the client has been idle beyond its grace time. The result is
// 0 or negative if it has not.
func (i *idle) excess(inMail bool) time.Duration {
	if !i.waiting.Load() {
		return 0
	}
	grace := idleGrace
	if inMail {
		grace = mailGrace
	}
	return time.Since(time.UnixMilli(i.lastActive.Load())) - grace
}
