package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// room knows about how much the queue holds and the disk has left. Counting reads
// an index entry of each message that waits, so it is done again only after a
// hundred times the time that it took; what is taken in between is added.
type room struct {
	mu       sync.Mutex
	until    time.Time // when it is counted anew
	messages int64
	bytes    int64
	free     int64
	size     int64 // of the file system
}

const (
	countAtLeast = time.Second
	countShare   = 100
)

// CheckCapacity implements queue.Intake.
func (s *Store) CheckCapacity(ctx context.Context, size int64, l queue.Limits) error {
	if err := s.Healthy(); err != nil {
		return err
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if err := s.count(ctx); err != nil {
		return err
	}
	switch r := &s.room; {
	case l.Messages > 0 && r.messages >= l.Messages:
		return fmt.Errorf("%w: %d messages", queue.ErrFull, r.messages)
	case l.Bytes > 0 && r.bytes+size > l.Bytes:
		return fmt.Errorf("%w: %d bytes", queue.ErrFull, r.bytes)
	case r.free-size < min(l.FreeSpace, r.size/10): // all of a small disk would be too little
		return fmt.Errorf("%w: %d bytes are free on the disk", queue.ErrNoSpace, r.free)
	}
	return nil
}

// count is called with the lock held.
func (s *Store) count(ctx context.Context) error {
	start := time.Now()
	if start.Before(s.room.until) {
		return nil
	}
	st, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	free, total, err := s.files.Free(s.dir)
	if err != nil {
		return fmt.Errorf("ask for the free space: %w", err)
	}
	s.room.messages, s.room.bytes, s.room.free, s.room.size = 0, st.Bytes, free, total
	for state, n := range st.Messages {
		if state != queue.Sent {
			s.room.messages += n
		}
	}
	s.room.until = start.Add(max(countAtLeast, countShare*time.Since(start)))
	return nil
}

// took adds a message to the count.
func (s *Store) took(size int64) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.messages++
	s.room.bytes += size
	s.room.free -= size
}
