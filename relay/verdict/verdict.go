// Package verdict lets an SMTP session wait for the first delivery attempt of the
// message it has accepted, so that it can refuse a message that Graph refuses.
package verdict

import (
	"context"
	"sync"
)

// Verdict is the result of a message's first attempt. The zero Verdict means that
// nothing is decided yet and the message stays in the queue.
type Verdict struct {
	Refused  bool   // the message has failed and will not be delivered
	Enhanced [3]int // enhanced status code (RFC 3463) of a refusal
	Text     string // what the sender can do
	// Unknown: it could not be found out whether the sender is notified of a refusal.
	Unknown bool
}

// Waiters matches waiting SMTP sessions with the deliveries that decide their messages.
// Either the session learns of a refusal, or it gave up waiting before: never both, so
// that a failure is reported exactly once. A nil Waiters has no sessions.
type Waiters struct {
	mu      sync.Mutex
	waiting map[string]*Waiter
}

// NewWaiters returns an empty Waiters.
func NewWaiters() *Waiters { return &Waiters{waiting: map[string]*Waiter{}} }

// Waiter is one session's wait.
type Waiter struct {
	all     *Waiters
	id      string
	decided chan Verdict
}

// Expect implements Source.
func (w *Waiters) Expect(id string) Wait {
	x := &Waiter{all: w, id: id, decided: make(chan Verdict, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[id] = x
	return x
}

// Cancel implements Wait.
func (x *Waiter) Cancel() { x.all.Claim(x.id) }

// Await implements Wait. It goes on after ctx is done if a delivery has claimed the waiter.
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

// Claim removes and returns the message's waiter, nil if there is none. The session
// then waits until Decide is called.
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

// Decide ends the wait with v. It does nothing for a nil Waiter.
func (x *Waiter) Decide(v Verdict) {
	if x != nil {
		x.decided <- v
	}
}
