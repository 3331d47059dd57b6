// Package fair shares a few slots among clients, so that one that asks for very many delays
// itself and not the others.
package fair

import (
	"context"
	"errors"
	"sync"
)

// ErrBusy means that too many wait for a slot.
var ErrBusy = errors.New("too many wait for their turn")

// Limits bound how many use and want slots at a time.
type Limits struct {
	Slots     int // in use
	PerClient int // in use by one client
	Waiting   int // for a slot; beyond it, the client with the most makes room
}

// Slots are slots that clients, named by a key, take turns to use. A slot goes to the client
// that uses the fewest, and of those to the one that was served longest ago.
type Slots[K comparable] struct {
	limits Limits

	mu      sync.Mutex
	clients map[K]*client // those that use a slot or wait for one
	used    int
	waiting int
	turn    uint64 // counts the slots that were given
}

type client struct {
	used    int
	served  uint64 // the last turn
	waiting []*waiter
}

// waiter waits for a slot. done is closed when it has got one, or err.
type waiter struct {
	done chan struct{}
	err  error
}

// New returns slots of which none is in use.
func New[K comparable](limits Limits) *Slots[K] {
	return &Slots[K]{limits: limits, clients: map[K]*client{}}
}

// Acquire waits for a slot and returns what releases it, to be called once. It returns
// ErrBusy, at once or after a wait, if too many wait and this client has the most, or the
// error of ctx.
func (s *Slots[K]) Acquire(ctx context.Context, key K) (release func(), err error) {
	w, err := s.enter(key)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if s.leave(key, w) {
			return nil, ctx.Err()
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	return func() { s.release(key) }, nil
}

// Waiting returns how many wait for a slot.
func (s *Slots[K]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func (s *Slots[K]) enter(key K) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[key]
	if c == nil {
		c = &client{}
	}
	if s.waiting >= s.limits.Waiting && !s.free(c) && !s.makeRoom(len(c.waiting)) {
		return nil, ErrBusy
	}
	s.clients[key] = c
	w := &waiter{done: make(chan struct{})}
	c.waiting = append(c.waiting, w)
	s.waiting++
	s.give()
	return w, nil
}

// free reports whether the client gets a slot at once.
func (s *Slots[K]) free(c *client) bool {
	return s.used < s.limits.Slots && c.used < s.limits.PerClient && len(c.waiting) == 0
}

// makeRoom sends the last waiter of the client with the most away. It reports false if no
// client has clearly more than own waiters.
func (s *Slots[K]) makeRoom(own int) bool {
	var most *client
	for _, c := range s.clients {
		if len(c.waiting) > own+1 && (most == nil || len(c.waiting) > len(most.waiting)) {
			most = c
		}
	}
	if most == nil {
		return false
	}
	last := len(most.waiting) - 1
	most.waiting[last].err = ErrBusy
	close(most.waiting[last].done)
	most.waiting = most.waiting[:last]
	s.waiting--
	return true
}

// leave reports whether w was still waiting.
func (s *Slots[K]) leave(key K, w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[key]
	if c == nil {
		return false
	}
	for i, other := range c.waiting {
		if other == w {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			s.waiting--
			s.forget(key, c)
			return true
		}
	}
	return false
}

func (s *Slots[K]) release(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[key]
	c.used--
	s.used--
	s.give()
	s.forget(key, c)
}

// give gives the free slots to those that wait.
func (s *Slots[K]) give() {
	for s.used < s.limits.Slots {
		c := s.next()
		if c == nil {
			return
		}
		s.turn++
		c.served = s.turn
		c.used++
		s.used++
		s.waiting--
		close(c.waiting[0].done)
		c.waiting = c.waiting[1:]
	}
}

// next returns the client whose turn it is, or nil.
func (s *Slots[K]) next() (next *client) {
	for _, c := range s.clients {
		switch {
		case len(c.waiting) == 0 || c.used >= s.limits.PerClient:
		case next == nil || c.used < next.used || c.used == next.used && c.served < next.served:
			next = c
		}
	}
	return next
}

func (s *Slots[K]) forget(key K, c *client) {
	if c.used == 0 && len(c.waiting) == 0 {
		delete(s.clients, key)
	}
}
