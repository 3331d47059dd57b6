package verdict

import (
	"context"
	"sync"
)

// Verdict is what became of a message at its first try. The zero Verdict is no
// decision yet: it goes on.
type Verdict struct {
	Refused  bool   // it has failed and will not be delivered
	Enhanced [3]int // RFC 3463, of a refusal
	Text     string // what its sender can do
}

// Waiters bring together SMTP sessions that wait for a message's fate and whoever
// decides it. Either the session learns of a refusal, or it has given up waiting
// before: never both, so that nobody is told of a failure twice or not at all. A nil
// Waiters is one where nobody waits.
type Waiters struct {
	mu      sync.Mutex
	waiting map[string]*Waiter
}

// NewWaiters makes an empty one.
func NewWaiters() *Waiters { return &Waiters{waiting: map[string]*Waiter{}} }

// Waiter is one session's wait.
type Waiter struct {
	all     *Waiters
	id      string
	decided chan Verdict
}

// Expect begins a wait. It has to come before the message can be claimed.
func (w *Waiters) Expect(id string) *Waiter {
	x := &Waiter{all: w, id: id, decided: make(chan Verdict, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[id] = x
	return x
}

// Await returns the verdict, or none if ctx is done before somebody has begun to
// decide.
func (x *Waiter) Await(ctx context.Context) Verdict {
	select {
	case v := <-x.decided:
		return v
	case <-ctx.Done():
	}
	if x.all.Claim(x.id) != nil {
		return Verdict{}
	}
	return <-x.decided
}

// Claim takes over the session that waits for the message, nil if none does. From
// now on it waits for Tell.
func (w *Waiters) Claim(id string) *Waiter {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.waiting[id]
	delete(w.waiting, id)
	return x
}

// Tell ends the wait. It does nothing for a nil Waiter.
func (x *Waiter) Tell(v Verdict) {
	if x != nil {
		x.decided <- v
	}
}
