package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"graphrelay/relay/queue"
)

// maxBatch is how many operations share a commit at most.
const maxBatch = 512

// op is one change. run may be called twice (see commitBatch), so it only
// changes the database and its own captured results.
type op struct {
	ctx  context.Context
	run  func(ctx context.Context, tx *transaction) error
	done chan error
	err  error
}

// do has the committer run fn in a transaction and returns when it is durable.
// Errors of package queue (ErrFenced, ErrNotFound, ErrState) must be returned
// before fn changed anything: they fail this operation, not the transaction.
func (s *Store) do(ctx context.Context, fn func(context.Context, *transaction) error) error {
	o := &op{ctx: context.WithoutCancel(ctx), run: fn, done: make(chan error, 1)}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return queue.ErrClosed
	}
	s.ops <- o
	s.mu.RUnlock()
	return <-o.done // not ctx: whether it was committed must be known
}

// commitLoop drains what waits into one transaction at a time.
func (s *Store) commitLoop() {
	defer close(s.done)
	for first := range s.ops {
		batch := s.gather([]*op{first})
		s.commitBatch(batch)
		for _, o := range batch {
			o.done <- o.err
		}
	}
}

func (s *Store) gather(batch []*op) []*op {
	for len(batch) < maxBatch {
		select {
		case o, ok := <-s.ops:
			if !ok {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// commitBatch runs the batch in one transaction; when that fails as a whole,
// each operation runs alone, so that one cannot fail its neighbours.
func (s *Store) commitBatch(batch []*op) {
	if err := s.transact(batch); err == nil {
		return
	} else if len(batch) == 1 {
		batch[0].err = err
		return
	}
	for i := range batch {
		if err := s.transact(batch[i : i+1]); err != nil {
			batch[i].err = err
		}
	}
}

// transact sets the err of each operation, or returns why none was committed.
func (s *Store) transact(batch []*op) (err error) {
	if err := s.Healthy(); err != nil {
		return err
	}
	ctx := context.Background()
	if err := s.writer.begin(ctx); err != nil {
		return s.fault(err)
	}
	for _, o := range batch {
		o.err = o.run(o.ctx, s.writer)
		if o.err != nil && !refusal(o.err) {
			s.writer.rollback(ctx)
			return s.fault(o.err)
		}
	}
	if err := s.writer.commit(ctx); err != nil {
		s.writer.rollback(ctx)
		s.void(ctx)
		return s.fault(err)
	}
	return nil
}

// void overwrites what a failed commit has left of itself in the write-ahead log. After
// a failed sync all of it is there, and a killed relay would find it committed at its
// next start: mail that was refused would be sent, and once more when its client tries
// again. It writes page 1 as it is. That this write may fail too, or be lost with the
// power, leaves what was in doubt in doubt.
func (s *Store) void(ctx context.Context) {
	_, _ = s.writer.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
}

func refusal(err error) bool {
	return errors.Is(err, queue.ErrFenced) || errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrState)
}

// fault maps an error of the engine.
func (s *Store) fault(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	case sqlite3.SQLITE_IOERR:
		return s.fail(fmt.Errorf("%w: %w", queue.ErrDisk, err))
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return s.fail(damage(err))
	}
	return err
}

// fail ends intake and every other change for good: a failed write is never tried
// again. What the kernel threw away then would pass as written; only a new process
// reads what is really there.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("%w; nothing is taken or sent until graphrelay is restarted", err)
	s.broken.CompareAndSwap(nil, &err)
	return err
}
