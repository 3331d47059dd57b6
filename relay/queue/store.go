package queue

import (
	"context"
	"time"

	"graphrelay/relay/reason"
)

// Queue is the queue on a storage. It implements Intake, Work, Warnings, Cleanups,
// Inspector and Controller.
type Queue struct {
	Inspector
	storage  Storage
	capacity capacity
	wake     chan struct{}
}

var _ interface {
	Intake
	Work
	Warnings
	Cleanups
	Inspector
	Controller
} = (*Queue)(nil)

// New returns the queue on s.
func New(s Storage) *Queue {
	return &Queue{Inspector: s, storage: s, capacity: capacity{storage: s}, wake: make(chan struct{}, 1)}
}

// Healthy returns nil while the queue can take mail.
func (q *Queue) Healthy() error { return q.storage.Healthy() }

// Close waits for what is being committed and closes the storage.
func (q *Queue) Close() error { return q.storage.Close() }

// Wake implements Work.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Pause implements Work and Controller.
func (q *Queue) Pause(ctx context.Context, l Lane, until time.Time, why reason.Reason) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.ExtendPause(l, until, why) })
}

// Resume implements Controller.
func (q *Queue) Resume(ctx context.Context, l Lane) error {
	err := q.storage.Update(ctx, func(tx Tx) error {
		why, err := tx.Pause(l)
		if err != nil {
			return err
		}
		if err := tx.EndPause(l); err != nil {
			return err
		}
		return tx.EndDeferral(l, why, time.Now())
	})
	if err == nil {
		q.signal()
	}
	return err
}

// Renew implements Work.
func (q *Queue) Renew(ctx context.Context, node string, lease time.Duration) (released int, err error) {
	err = q.storage.Update(ctx, func(tx Tx) (err error) {
		now := time.Now()
		if err := tx.SetLease(node, now.Add(lease)); err != nil {
			return err
		}
		if released, err = release(tx, now, now); err != nil {
			return err
		}
		return tx.Shrink()
	})
	if released > 0 {
		q.signal()
	}
	return released, err
}

// Recover gives back every claim. It is for the start of the only process that uses the
// storage: no worker of an earlier one lives.
func (q *Queue) Recover(ctx context.Context) error {
	return q.storage.Update(ctx, func(tx Tx) error {
		_, err := release(tx, Forever, time.Now())
		return err
	})
}

// release gives back the claims of nodes whose lease has ended at a time.
func release(tx Tx, ended, now time.Time) (int, error) {
	ids, err := tx.Abandoned(ended)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		s, err := tx.Status(id)
		if err != nil {
			return 0, err
		}
		s.State, s.Due, s.Node = Queued, now, ""
		s.Fence++
		if err := tx.SetStatus(id, s); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}
