package queue

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// capacity knows roughly how much the queue holds and the disk has left. Counting reads an
// index entry of each message that waits, so it is done again only after a hundred times
// the time that it took; what is accepted in between is added.
type capacity struct {
	storage  Storage
	mu       sync.Mutex
	until    time.Time // when it is counted anew
	messages int64
	bytes    int64
	free     int64
	size     int64 // of the disk
}

const (
	countAtLeast = time.Second
	countShare   = 100
)

// CheckCapacity implements Intake.
func (q *Queue) CheckCapacity(ctx context.Context, size int64, l Limits) error {
	if err := q.Healthy(); err != nil {
		return err
	}
	return q.capacity.check(ctx, size, l)
}

func (c *capacity) check(ctx context.Context, size int64, l Limits) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.count(ctx); err != nil {
		return err
	}
	switch {
	case l.Messages > 0 && c.messages >= l.Messages:
		return fmt.Errorf("%w: %d messages", ErrFull, c.messages)
	case l.Bytes > 0 && c.bytes+size > l.Bytes:
		return fmt.Errorf("%w: %d bytes", ErrFull, c.bytes)
	case c.free-size < min(l.FreeSpace, c.size/10): // all of a small disk would be too little
		return fmt.Errorf("%w: %d bytes are free on the disk", ErrNoSpace, c.free)
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
	c.messages, c.bytes, c.free, c.size = 0, st.Bytes, free, size
	for state, n := range st.Messages {
		if !state.Left() {
			c.messages += n
		}
	}
	c.until = start.Add(max(countAtLeast, countShare*time.Since(start)))
	return nil
}

// add counts an accepted message.
func (c *capacity) add(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages++
	c.bytes += size
	c.free -= size
}
