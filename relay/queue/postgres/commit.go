package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"graphrelay/relay/queue"
)

const (
	maxBatch    = 256     // operations that share a commit at most
	maxBytes    = 8 << 20 // bytes after which no other operation joins it
	maxTries    = 8       // of a transaction that others stood in the way of
	maxCulprits = 3       // operations that are taken out of a batch one by one
)

// op is one transaction of queue.Storage's Update.
type op struct {
	run  func(queue.Tx) error
	done chan error
	err  error
}

// Update implements queue.Storage: a writer runs fn.
func (s *storage) Update(_ context.Context, fn func(queue.Tx) error) error {
	if err := s.reachable(); err != nil {
		return err
	}
	o := &op{run: fn, done: make(chan error, 1)}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return queue.ErrClosed
	}
	s.ops <- o
	s.mu.RUnlock()
	return <-o.done
}

// writer combines waiting operations into one transaction at a time.
type writer struct {
	s   *storage
	id  string // in the table of that name
	seq int64  // of the last transaction that may have been committed
}

func (s *storage) newWriter(n int) *writer {
	return &writer{s: s, id: fmt.Sprintf("%s-%d", s.name, n)}
}

func (w *writer) loop() {
	for first := range w.s.ops {
		batch := w.gather([]*op{first})
		w.commitAll(batch)
		for _, o := range batch {
			o.done <- fault(o.err)
		}
	}
}

func (w *writer) gather(batch []*op) []*op {
	for len(batch) < maxBatch {
		select {
		case o, ok := <-w.s.ops:
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

// opFault is the error of one operation, for which the transaction was rolled back.
type opFault struct {
	op  int
	err error
}

func (f *opFault) Error() string { return f.err.Error() }
func (f *opFault) Unwrap() error { return f.err }

// commitAll runs the batch in as few transactions as possible. An operation that fails with
// others runs alone after them, so that it cannot fail them.
func (w *writer) commitAll(batch []*op) {
	batch = slices.Clone(batch)
	var alone []*op
	for len(batch) > 1 {
		n, err := w.transact(batch)
		var f *opFault
		switch {
		case err == nil:
			for _, o := range batch[:n] {
				if errors.Is(o.err, errAlone) {
					alone = append(alone, o)
				}
			}
			batch = batch[n:]
		case errors.As(err, &f) && f.op >= 0 && len(alone) < maxCulprits:
			alone = append(alone, batch[f.op])
			batch = slices.Delete(batch, f.op, f.op+1)
		default:
			alone = append(alone, batch...)
			batch = nil
		}
	}
	for _, o := range append(batch, alone...) {
		if _, err := w.transact([]*op{o}); err != nil {
			o.err = err
		}
	}
}

// transact runs a transaction for the first of the operations until nothing stands in its
// way. It returns how many took part and sets the err of each, or returns why none was committed.
func (w *writer) transact(batch []*op) (n int, err error) {
	for try := range maxTries {
		if err := w.s.reachable(); err != nil {
			for _, o := range batch {
				o.err = err
			}
			return len(batch), nil
		}
		n, err = w.try(batch)
		switch {
		case errors.Is(err, errLost):
			if try > 0 { // a first one may be of a connection that had been lost long before
				w.s.lose(err)
			}
		case retryable(err) && !(len(batch) > 1 && sqlState(err) == codeLockTimeout):
			time.Sleep(rand.N(10 * time.Millisecond << try))
		default:
			return n, err
		}
	}
	return n, err
}

// try runs one transaction.
func (w *writer) try(batch []*op) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.s.timeout)
	defer cancel()
	conn, err := w.s.work.Acquire(ctx)
	if err != nil {
		w.s.lose(err)
		return 0, fmt.Errorf("%w: %w", errLost, err)
	}
	defer conn.Release()
	t := newTransaction(ctx, w.s, conn.Conn(), len(batch) > 1)
	if n, err = t.runAll(batch); err == nil {
		w.s.passed.note(&t.claims)
	}
	if err == nil && !t.wrote {
		t.rollback()
		return n, nil
	}
	if err != nil {
		return 0, t.failed(err)
	}
	w.seq++
	if err := t.commit(w.trace); err != nil {
		if err := t.failed(err); !errors.Is(err, errLost) {
			return 0, err
		}
		return w.resolve(t, batch[:n], err)
	}
	w.s.committed(t)
	return n, nil
}

// runAll runs operations until they have written much. It returns how many.
func (t *transaction) runAll(batch []*op) (n int, err error) {
	for n < len(batch) && t.bytes < maxBytes {
		o := batch[n]
		t.op, t.changed = n, false
		o.err = o.run(t)
		if t.broken != nil {
			return n, t.broken
		}
		if o.err != nil && (t.changed || !refusal(o.err) && !errors.Is(o.err, errAlone)) {
			return n, &opFault{n, o.err}
		}
		t.wrote = t.wrote || t.changed
		n++
	}
	return n, nil
}

// failed ends the transaction and returns why: errLost if the connection is lost.
func (t *transaction) failed(err error) error {
	if !lost(t.conn, err) {
		t.rollback()
		return err
	}
	_ = t.conn.Close(t.ctx)
	if t.ctx.Err() != nil {
		t.s.lose(err)
	}
	return fmt.Errorf("%w: %v", errLost, err)
}

// committed takes note of what has become durable.
func (s *storage) committed(t *transaction) {
	s.arrived.add(t.arrivals)
	if t.sweep {
		s.wakeSweeper()
	}
}
