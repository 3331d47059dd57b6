package queue

import (
	"context"
	"time"

	"graphrelay/relay/reason"
)

// MaxDeferral bounds how far ahead a message can be due: by more than the longest delay of a
// retry.
const MaxDeferral = 8 * 24 * time.Hour

// keepTime records the clock, and ends what lies further ahead than anything may: it was
// written by a clock that was wrong.
func (q *Queue) keepTime(tx Tx, now time.Time) error {
	if err := tx.SetClock(q.clock.Read()); err != nil {
		return err
	}
	return tx.EndAhead(now, now.Add(MaxPause), now.Add(MaxDeferral), reason.Operator)
}

// Recover gives back every claim. It is for the start of the only process that uses the
// storage: no worker of an earlier one lives.
func (q *Queue) Recover(ctx context.Context) error {
	return q.storage.Update(ctx, func(tx Tx) error {
		now := q.clock.Now()
		if err := q.keepTime(tx, now); err != nil {
			return err
		}
		_, err := release(tx, Forever, now)
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
		if err := releaseOne(tx, id, now); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

func releaseOne(tx Tx, id string, now time.Time) error {
	s, err := tx.Status(id)
	if err != nil {
		return err
	}
	s.State, s.Due, s.Node = Queued, now, ""
	s.Fence++
	return tx.SetStatus(id, s)
}
