package queue

import (
	"context"
	"time"

	"graphrelay/relay/reason"
)

// MaxPause bounds the pauses that the relay makes itself. Graph may ask for an hour, and
// Exchange remembers a refusal for two.
const MaxPause = 2 * time.Hour

// PauseAs implements Work.
func (q *Queue) PauseAs(ctx context.Context, by LaneRef, l Lane, until time.Time, why reason.Reason) error {
	return q.storage.Update(ctx, func(tx Tx) error {
		if q.Shared() {
			if err := tx.(SharedTx).Holds(by); err != nil {
				return err
			}
		}
		return tx.ExtendPause(l, until, why)
	})
}

// Pause implements Controller.
func (q *Queue) Pause(ctx context.Context, l Lane, until time.Time, why reason.Reason) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.ExtendPause(l, until, why) })
}

// Resume implements Controller.
func (q *Queue) Resume(ctx context.Context, l Lane) error {
	err := q.storage.Update(ctx, func(tx Tx) error {
		now := q.clock.Now()
		why, err := tx.Pause(l, now)
		if err != nil {
			return err
		}
		if err := tx.EndPause(l); err != nil {
			return err
		}
		return tx.EndDeferral(l, why, now)
	})
	if err == nil {
		q.signal()
	}
	return err
}
