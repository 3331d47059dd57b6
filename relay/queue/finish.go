package queue

import (
	"context"
	"errors"
)

// Save implements Work.
func (q *Queue) Save(ctx context.Context, ref Ref, p Progress, events ...Event) error {
	save := func(tx Tx) error {
		if err := tx.SaveProgress(ref, p); err != nil {
			return err
		}
		return tx.AddEvents(ref.ID, events...)
	}
	err := q.storage.Update(ctx, save)
	if errors.Is(err, ErrUnknown) { // once more does no harm
		err = q.storage.Update(ctx, save)
	}
	return err
}

// Finish implements Work.
func (q *Queue) Finish(ctx context.Context, ref Ref, o Outcome) error {
	err := q.storage.Update(ctx, func(tx Tx) error {
		if err := q.finish(tx, ref, o); err != nil {
			return err
		}
		due, err := q.offer(tx, ref, o)
		if err != nil {
			return err
		}
		for _, n := range o.Notifications {
			if err := q.submit(tx, n, due); err != nil {
				return err
			}
		}
		return nil
	})
	maybe := q.lost.finishing(ref, errors.Is(err, ErrUnknown))
	if errors.Is(err, ErrFenced) && maybe && q.recorded(ctx, ref, o) {
		err = nil
	}
	if err == nil || errors.Is(err, ErrFenced) {
		q.lost.ended(ref)
	}
	if err != nil {
		return err
	}
	for _, n := range o.Notifications {
		q.accepted(int64(len(n.Body)), &n.Entry)
	}
	q.signal() // the lane may have another message in delivery
	return nil
}

// recorded reports whether the outcome has been recorded before: the answer to that commit
// was lost.
func (q *Queue) recorded(ctx context.Context, ref Ref, o Outcome) bool {
	r, _, err := q.storage.Get(ctx, ref.ID)
	return err == nil && r.Fence == ref.Fence && r.State == o.State
}

// Lost implements Work.
func (q *Queue) Lost(ref Ref) {
	q.lost.ended(ref)
	q.lost.note()
}

func (q *Queue) finish(tx Tx, ref Ref, o Outcome) error {
	now := q.clock.Now()
	if o.State == Queued {
		o.Due, o.Uncount = now, true
	}
	s, err := tx.Status(ref.ID)
	if errors.Is(err, ErrNotFound) || err == nil && (s.State != Delivering || s.Fence != ref.Fence || s.Node != ref.Node) {
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
		s.Finished, s.Due = q.clock.Wall(now), now
	}
	s.HasContent = s.HasContent && (o.State != Sent || o.Keep) && !o.Discard
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
	return tx.AddCleanup(Cleanup{Record: r, Since: now})
}
