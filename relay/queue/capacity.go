package queue

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"graphrelay/internal/text"
)

// capacity knows roughly how much the queue holds and the disk has left. Counting reads an
// index entry of each message, and when the queue is nearly full each record that waits, so it
// is done again only after a hundred times the time that it took; what is accepted in between
// is added.
type capacity struct {
	storage Storage
	mu      sync.Mutex
	until   time.Time // when it is counted anew
	waiting int64     // messages that are queued, deferred or being delivered
	held    int64
	bytes   int64 // of both
	free    int64
	size    int64            // of the disk
	clients map[string]usage // nil while the queue is not nearly full
	lanes   map[Lane]usage
}

// usage is what a client or a lane has in the queue.
type usage struct{ waiting, held, bytes int64 }

// Usage is what one client has in one lane.
type Usage struct {
	Origin
	Waiting int64 // messages that are queued, deferred or being delivered
	Held    int64
	Bytes   int64 // of both
}

// Origin is where a message comes from and goes to.
type Origin struct {
	User   string // empty if the client did not authenticate
	Client string // IP address; empty for the relay itself
	Lane   Lane   // zero while it is not known
}

// client returns whose share the message counts against: the user's, or that of the address.
func (s Origin) client() string {
	if s.User != "" {
		return "user " + s.User
	}
	if a, err := netip.ParseAddr(s.Client); err == nil && a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil { // the least that a client has (RFC 6177)
			return p.String()
		}
	}
	return s.Client
}

const (
	countAtLeast = time.Second
	countShare   = 100
)

// CheckCapacity implements Intake.
func (q *Queue) CheckCapacity(ctx context.Context, size int64, l Limits, from Origin) error {
	if err := q.Healthy(); err != nil {
		return err
	}
	return q.capacity.check(ctx, size, l, from)
}

func (c *capacity) check(ctx context.Context, size int64, l Limits, from Origin) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.count(ctx); err != nil {
		return err
	}
	if err := c.countShares(ctx, l); err != nil {
		return err
	}
	switch {
	case l.Messages > 0 && c.waiting >= l.Messages:
		return fmt.Errorf("%w: %d messages", ErrFull, c.waiting)
	case l.Bytes > 0 && c.bytes+size > l.Bytes:
		return fmt.Errorf("%w: %s", ErrFull, text.Size(c.bytes))
	case c.free-size < min(l.FreeSpace, c.size/10): // all of a small disk would be too little
		return fmt.Errorf("%w: %s are free on the disk of %s, and %s have to stay free; remove something there, or lower queue.min_free_space",
			ErrNoSpace, text.Size(max(c.free, 0)), cmp.Or(l.Folder, "the queue"), text.Size(min(l.FreeSpace, c.size/10)))
	}
	return c.checkShare(l, from)
}

// nearlyFull reports whether the last quarter is begun, in which a client gets a share.
func nearlyFull(n, limit int64) bool { return limit > 0 && n > limit-limit/4 }

// checkShare leaves the last quarter of the queue to those who have less in it than is free
// (dynamic thresholds; Choudhury and Hahne, 1998): whoever fills the queue is stopped, and
// each other client still finds room. Held mail has a limit of its own of the same size, which
// stops nobody but those whose mail is held.
func (c *capacity) checkShare(l Limits, from Origin) error {
	if c.clients == nil || from == (Origin{}) {
		return nil
	}
	mine, lane := c.clients[from.client()], c.lanes[from.Lane]
	switch free := l.Messages - c.waiting; {
	case nearlyFull(c.waiting, l.Messages) && max(mine.waiting, lane.waiting) >= free:
		return fmt.Errorf("%w: %d messages, of which this client has %d and this lane %d", ErrFull, c.waiting, mine.waiting, lane.waiting)
	case nearlyFull(c.bytes, l.Bytes) && max(mine.bytes, lane.bytes) >= l.Bytes-c.bytes:
		return fmt.Errorf("%w: %d bytes, of which this client has %d and this lane %d", ErrFull, c.bytes, mine.bytes, lane.bytes)
	case nearlyFull(c.held, l.Messages) && mine.held > 0 && mine.held >= l.Messages-c.held:
		return fmt.Errorf("%w: %d messages are held, of which %d are this client's", ErrFull, c.held, mine.held)
	}
	return nil
}

// count is called with the lock held.
func (c *capacity) count(ctx context.Context) error {
	start := time.Now()
	if start.Before(c.until) {
		return nil
	}
	st, err := c.storage.Stats(ctx)
	if err != nil {
		return err
	}
	free, size, err := c.storage.Space()
	if err != nil {
		return fmt.Errorf("ask for the free space: %w", err)
	}
	c.waiting = st.Messages[Queued] + st.Messages[Deferred] + st.Messages[Delivering]
	c.held, c.bytes, c.free, c.size = st.Messages[Held], st.Bytes-st.FailedBytes, free, size
	c.clients, c.lanes = nil, nil
	c.until = start.Add(max(countAtLeast, countShare*time.Since(start)))
	return nil
}

// countShares counts who has what, once after each count and only if the queue is nearly full.
func (c *capacity) countShares(ctx context.Context, l Limits) error {
	if c.clients != nil || !nearlyFull(c.waiting, l.Messages) && !nearlyFull(c.held, l.Messages) && !nearlyFull(c.bytes, l.Bytes) {
		return nil
	}
	start := time.Now()
	list, err := c.storage.Usage(ctx)
	if err != nil {
		return err
	}
	c.clients, c.lanes = map[string]usage{}, map[Lane]usage{}
	for _, u := range list {
		c.addShare(u)
	}
	c.until = latest(c.until, start.Add(countShare*time.Since(start)))
	return nil
}

func (c *capacity) addShare(u Usage) {
	plus := func(x usage) usage { return usage{x.waiting + u.Waiting, x.held + u.Held, x.bytes + u.Bytes} }
	c.clients[u.client()] = plus(c.clients[u.client()])
	c.lanes[u.Lane] = plus(c.lanes[u.Lane])
}

// add counts an accepted message.
func (c *capacity) add(size int64, e *Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting++
	c.bytes += size
	c.free -= size
	if c.clients != nil {
		c.addShare(Usage{Origin: e.source(), Waiting: 1, Bytes: size})
	}
}

func (e *Entry) source() Origin { return Origin{User: e.User, Client: e.Client, Lane: e.Lane} }
