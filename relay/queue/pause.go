package queue

import (
	"context"
	"time"

	"graphrelay/relay/reason"
)

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
