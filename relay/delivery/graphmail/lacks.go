package graphmail

import (
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/relay/queue"
)

// An action of Graph's that a cloud or a mailbox may lack.
type action string

const (
	actionUpload action = "upload"
	actionDelete action = "permanent delete"
)

const (
	// lackFor is how long it is remembered that an action is missing. Then it is tried again.
	lackFor = time.Hour
	// maxLacks is how many of them are remembered, of all connections and mailboxes.
	maxLacks = 10_000
)

// lack is what is known of an action that was refused.
type lack struct {
	first, last time.Time // of the refusals since the action last worked
	err         error     // the last one
}

// sure reports whether the action has been refused for as long as a refusal may pass.
func (l lack) sure(patience time.Duration) bool { return l.last.Sub(l.first) >= patience }

// lacks remembers the actions that were found missing: of a connection, whose lane has no
// mailbox, or of a mailbox. A restart and a reload forget them.
type lacks struct {
	mu    sync.Mutex
	known *bounded.Map[lackKey, lack]
}

type lackKey struct {
	action action
	lane   queue.Lane
}

func newLacks() *lacks {
	return &lacks{known: bounded.New[lackKey](maxLacks, func(l lack) bounded.Rank { return bounded.Rank{Used: l.last} })}
}

// everywhere returns the lane that stands for all mailboxes of l's connection, or principal.
func everywhere(l queue.Lane) queue.Lane {
	l.Mailbox = ""
	return l
}

// add notes a refusal.
func (m *lacks) add(a action, l queue.Lane, err error) lack {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, now := lackKey{a, l}, time.Now()
	known, ok := m.known.Get(k)
	if !ok || now.Sub(known.last) > 2*lackFor {
		known.first = now
	}
	known.last, known.err = now, err
	m.known.Put(k, known)
	return known
}

// of returns what is known of an action for a lane. ok is false if nothing is, or not any
// more.
func (m *lacks) of(a action, l queue.Lane) (known lack, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range []queue.Lane{l, everywhere(l)} {
		if known, ok = m.known.Get(lackKey{a, l}); ok && time.Since(known.last) < lackFor {
			return known, true
		}
	}
	return lack{}, false
}

// works forgets what was noted of an action, which has just worked.
func (m *lacks) works(a action, l queue.Lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known.Delete(lackKey{a, l})
	m.known.Delete(lackKey{a, everywhere(l)})
}
