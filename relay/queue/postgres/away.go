package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"graphrelay/relay/queue"
)

const (
	probeEvery = 500 * time.Millisecond
	probeTime  = 2 * time.Second
)

// reachable returns an queue.ErrAway while the database cannot be reached.
func (s *storage) reachable() error {
	if p := s.away.Load(); p != nil {
		return *p
	}
	return nil
}

// Healthy implements queue.Storage.
func (s *storage) Healthy() error { return s.reachable() }

// lose records that the database cannot be reached, and tries until it can be.
func (s *storage) lose(cause error) {
	err := fmt.Errorf("%w: %s", queue.ErrAway, oneLine(cause))
	if s.ending.Err() == nil && s.away.CompareAndSwap(nil, &err) {
		s.running.Go(s.probeLoop)
	}
}

// probeLoop brings the storage back. What is in doubt is cleared up first.
func (s *storage) probeLoop() {
	for {
		select {
		case <-s.ending.Done():
			return
		case <-time.After(probeEvery):
		}
		if s.probe() == nil && s.clearDoubts() == nil {
			s.away.Store(nil)
			if _, more := s.doubts.first(); more { // since it was looked
				s.lose(errors.New("the result of a commit is not known"))
			}
			s.arrived.signal()
			return
		}
	}
}

// probe asks the database whether it takes writes, and has a schema that this program knows. Its
// connections may be of a server that is gone, so it makes a new one.
func (s *storage) probe() error {
	ctx, cancel := context.WithTimeout(s.ending, probeTime)
	defer cancel()
	s.work.Reset()
	s.read.Reset()
	return s.onConn(ctx, s.work, func(c *pgx.Conn) error {
		var b pgx.Batch
		b.Queue(beginSQL)
		b.Queue(selectSchema).QueryRow(s.schema.check)
		b.Queue("COMMIT")
		return c.SendBatch(ctx, &b).Close()
	})
}

// onConn runs do on a connection of the pool, and closes the connection if do leaves it in
// a transaction.
func (s *storage) onConn(ctx context.Context, p *pgxpool.Pool, do func(*pgx.Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return do(c.Conn())
}
