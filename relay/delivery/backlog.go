package delivery

import (
	"maps"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// Exchange sends 30 messages of a mailbox in a minute and carries over what is more,
// without saying so (Exchange Online limits).
const (
	exchangePer   = time.Minute
	exchangePace  = exchangePer / 30
	backlogForget = time.Minute // how often the lanes without one are forgotten
)

// backlogs reckons what Exchange still has to send of each lane: as long as it carries a
// message over, that one may look as if its send had never been asked for. A restart
// forgets it; what was asked for before has its time recorded.
type backlogs struct {
	mu      sync.Mutex
	until   map[queue.Lane]time.Time // when the last message has had its turn
	cleared time.Time
}

// add counts a message that Graph has taken.
func (b *backlogs) add(l queue.Lane, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.cleared) >= backlogForget {
		b.cleared = now
		maps.DeleteFunc(b.until, func(_ queue.Lane, t time.Time) bool { return t.Before(now) })
	}
	b.until[l] = later(b.until[l], now).Add(exchangePace)
}

// wait is how long the next message may be carried over.
func (b *backlogs) wait(l queue.Lane, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.until[l].Add(-exchangePer).Sub(now))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
