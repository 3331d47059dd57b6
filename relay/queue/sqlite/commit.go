package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	sqlite3 "modernc.org/sqlite/lib"

	"graphrelay/relay/queue"
)

// maxBatch is how many operations share a commit at most.
const maxBatch = 512

// op is one transaction of queue.Storage's Update.
type op struct {
	run    func(queue.Tx) error
	files  []string // to remove once it is durable
	bodies []*spool // that are rows then
	done   chan error
	err    error
}

// Update implements queue.Storage: the committer runs fn.
func (s *storage) Update(_ context.Context, fn func(queue.Tx) error) error {
	o := &op{run: fn, done: make(chan error, 1)}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return queue.ErrClosed
	}
	s.ops <- o
	s.mu.RUnlock()
	if err := <-o.done; err != nil {
		return err
	}
	s.removeFiles(o.files)
	for _, b := range o.bodies {
		b.free()
	}
	return nil
}

// commitLoop combines the waiting operations into one transaction at a time.
func (s *storage) commitLoop() {
	defer close(s.done)
	for first := range s.ops {
		batch := s.gather([]*op{first})
		s.commitBatch(batch)
		for _, o := range batch {
			o.done <- o.err
		}
	}
}

// gather adds the operations that wait. As long as there were more, it lets the goroutines run
// that are ready to, since some of them bring another one: the more operations share a commit, the
// less each costs. A single session waits for nobody.
func (s *storage) gather(batch []*op) []*op {
	for n := 0; n < len(batch); {
		n = len(batch)
		runtime.Gosched()
		batch = s.take(batch)
	}
	return batch
}

// take adds the operations that are there.
func (s *storage) take(batch []*op) []*op {
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

// commitBatch runs the batch in one transaction. If that fails as a whole, each operation
// runs alone, so that one cannot fail the others.
func (s *storage) commitBatch(batch []*op) {
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
func (s *storage) transact(batch []*op) (err error) {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	if err := s.writer.begin(); err != nil {
		return s.fault(err)
	}
	for _, o := range batch {
		s.writer.changed, s.writer.files, s.writer.bodies = false, nil, nil
		o.err = o.run(s.writer)
		o.files, o.bodies = s.writer.files, s.writer.bodies
		if o.err != nil && (s.writer.changed || !refusal(o.err)) {
			s.writer.rollback()
			return s.fault(o.err)
		}
	}
	if err := s.writer.commit(); err != nil {
		s.writer.rollback()
		s.void()
		return s.fault(err)
	}
	return nil
}

// void overwrites what a failed commit left in the write-ahead log. After a failed sync
// all of the commit is there, and the next start after a kill would find it: mail that was
// refused would be sent, and once more when its client tries again. void writes page 1 as
// it is. If that fails too, or is lost in a power cut, the commit may still be found.
func (s *storage) void() {
	_ = s.writer.conn.run(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
}

// refusal reports whether err concerns one operation, and not the storage.
func refusal(err error) bool {
	return errors.Is(err, queue.ErrFenced) || errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrState)
}

// fault returns the error of package queue for an error of SQLite. Only a failed read, write
// or sync of data is a fault of the disk that ends intake.
func (s *storage) fault(err error) error {
	code := resultCode(err)
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		if s.dropReserve() { // delivery can write, and then free space
			s.shrinkLog()
		}
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	case sqlite3.SQLITE_IOERR:
		if slices.Contains(passing, code) {
			return fmt.Errorf("%w: %w", queue.ErrResources, err)
		}
		return s.fail(fmt.Errorf("%w: %w", queue.ErrDisk, err))
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return s.fail(damage(err))
	}
	return err
}

// resultCode returns the extended result code of SQLite that err is about, or 0: it comes from
// the driver, or from a direct connection.
func resultCode(err error) int {
	var e interface {
		error
		Code() int
	}
	if errors.As(err, &e) {
		return e.Code()
	}
	return sqlite3.SQLITE_OK
}

// passing are the I/O errors of SQLite that lose no data: for lack of descriptors, memory or
// locks, or of space for its index. The operation was rolled back, and another may succeed.
var passing = []int{
	sqlite3.SQLITE_IOERR_ACCESS, sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK, sqlite3.SQLITE_IOERR_FSTAT, sqlite3.SQLITE_IOERR_LOCK,
	sqlite3.SQLITE_IOERR_NOMEM, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_SHMLOCK, sqlite3.SQLITE_IOERR_SHMMAP,
	sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_UNLOCK,
}

// fail ends intake and every other change until the next start. A failed write is never
// tried again: what the kernel has discarded would count as written, and only a new
// process reads what is really there.
func (s *storage) fail(err error) error {
	err = fmt.Errorf("%w; %w", err, queue.ErrBroken)
	if s.broken.CompareAndSwap(nil, &err) && s.onBroken != nil {
		s.onBroken(err)
	}
	return err
}
