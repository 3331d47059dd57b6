package graphmail

import (
	"maps"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// Exchange sends 30 messages of a mailbox in a minute and silently carries over the rest
// (Exchange Online limits).
const (
	exchangePer   = time.Minute
	exchangePace  = exchangePer / 30
	backlogForget = time.Minute // how often lanes without a backlog are removed
)

// backlog estimates what Exchange still has to send for each lane: as long as it carries a
// message over, the message may look as if its send had never been requested. A restart
// forgets it; what was requested before has its time recorded.
type backlog struct {
	mu      sync.Mutex
	until   map[queue.Lane]time.Time // when the last message will have been sent
	cleared time.Time
	started time.Time // the queue's time at the first attempt of this process
}

func newBacklog() *backlog { return &backlog{until: map[queue.Lane]time.Time{}} }

// since returns the queue's time at the first attempt of this process.
func (b *backlog) since(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started.IsZero() {
		b.started = now
	}
	return b.started
}

// add counts a message that Graph has accepted.
func (b *backlog) add(l queue.Lane, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.cleared) >= backlogForget {
		b.cleared = now
		maps.DeleteFunc(b.until, func(_ queue.Lane, t time.Time) bool { return t.Before(now) })
	}
	start := b.until[l]
	if start.Before(now) {
		start = now
	}
	b.until[l] = start.Add(exchangePace)
}

// wait returns how long the next message may be carried over.
func (b *backlog) wait(l queue.Lane, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.until[l].Add(-exchangePer).Sub(now))
}
