package queue

import (
	"sync"
	"time"
)

// leaderMemory is for how long an answer of the other clock counts.
const leaderMemory = 30 * time.Second

// leader estimates what another clock shows from answers that were late by unknown times. The
// answer that is the furthest ahead was the least late. It is forgotten after a while, since
// the other clock may be set back, or go more slowly.
type leader struct {
	mu            sync.Mutex
	ahead, before time.Duration // of Elapsed, as Unix time: the most now, and in the memory before
	since         time.Duration // when this memory began
	known         bool          // an answer has come
}

func (l *leader) follow(shown time.Time, elapsed time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ahead := time.Duration(shown.UnixNano()) - elapsed
	switch {
	case !l.known:
		l.ahead, l.before, l.since, l.known = ahead, ahead, elapsed, true
	case elapsed-l.since >= leaderMemory:
		l.before, l.ahead, l.since = l.ahead, ahead, elapsed
	default:
		l.ahead = max(l.ahead, ahead)
	}
}

func (l *leader) now(elapsed time.Duration) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return plain(time.Unix(0, int64(max(l.ahead, l.before)+elapsed)))
}
