package smtpd

import (
	"sync/atomic"
	"time"
)

// idle tells how long a client has kept the relay waiting for something of use: a
// sign-in, a sender, a recipient, a message or a piece of one.
type idle struct {
	waiting    atomic.Bool  // for the client's bytes
	lastActive atomic.Int64 // when it last did something of use, Unix milliseconds
	unmarked   int          // bytes of a message since then
}

// How long a client may keep a connection without doing anything of use before it
// has to make room where room is short, outside of a mail transaction and within.
const (
	idleGrace = 5 * time.Second
	mailGrace = time.Minute
)

// steadyBytes of a message are something of use.
const steadyBytes = 4 << 10

func (i *idle) begin() {
	i.mark()
	i.waiting.Store(true)
}

// mark notes something of use.
func (i *idle) mark() { i.lastActive.Store(time.Now().UnixMilli()) }

// received notes bytes of a message.
func (i *idle) received(n int) {
	if i.unmarked += n; i.unmarked >= steadyBytes {
		i.unmarked = 0
		i.mark()
	}
}

// excess is how much longer than it may the client has kept the relay waiting; not
// positive if it is within that.
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
