package queue

import (
	"context"
	"errors"
	"time"
)

// Save implements Work.
func (q *Queue) Save(ctx context.Context, ref Ref, p Progress, events ...Event) error {
	return q.storage.Update(ctx, func(tx Tx) error {
		if err := tx.SaveProgress(ref, p); err != nil {
			return err
		}
		return tx.AddEvents(ref.ID, events...)
	})
}

// Finish implements Work.
func (q *Queue) Finish(ctx context.Context, ref Ref, o Outcome) error {
	if o.State == Queued {
		o.Due, o.Uncount = time.Now(), true
	}
	err := q.storage.Update(ctx, func(tx Tx) error {
		if err := finish(tx, ref, o); err != nil || o.Notification == nil {
			return err
		}
		return q.submit(tx, o.Notification)
	})
	if err != nil {
		return err
	}
	if o.Notification != nil {
		q.accepted(int64(len(o.Notification.Body)))
	}
	q.signal() // the lane may have another message in delivery
	return nil
}

func finish(tx Tx, ref Ref, o Outcome) error {
	s, err := tx.Status(ref.ID)
	if errors.Is(err, ErrNotFound) || err == nil && (s.State != Delivering || s.Fence != ref.Fence) {
		return ErrFenced
	}
	if err != nil {
		return err
	}
	s.State, s.Due, s.Reason, s.Detail, s.Progress, s.Node = o.State, o.Due, o.Reason, o.Detail, o.Progress, ""
	if o.Uncount {
		s.Attempts = max(s.Attempts-1, 0)
	}
	if o.State.ended() {
		s.Finished = time.Now()
	}
	s.HasContent = s.HasContent && o.State != Sent && !o.Discard
	if err := tx.SetStatus(ref.ID, s); err != nil {
		return err
	}
	if err := tx.AddEvents(ref.ID, o.Events...); err != nil || !o.Cleanup {
		return err
	}
	r, err := tx.Record(ref.ID)
	if err != nil {
		return err
	}
	return tx.AddCleanup(Cleanup{r, time.Now()})
}
