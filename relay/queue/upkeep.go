package queue

import (
	"context"
	"errors"
	"time"
)

// maxOverdue bounds what Overdue returns.
const maxOverdue = 100

// Overdue implements Warnings.
func (q *Queue) Overdue(ctx context.Context, before time.Time, via Lane) ([]Record, error) {
	ownLane := via == Lane{}
	if !ownLane {
		if paused, err := q.storage.Paused(ctx, via, q.clock.Now()); paused || err != nil {
			return nil, err
		}
	}
	return q.storage.Unwarned(ctx, before, q.clock.Now(), ownLane, maxOverdue)
}

// MarkWarned implements Warnings.
func (q *Queue) MarkWarned(ctx context.Context, id string, warning *Submission, events ...Event) error {
	err := q.storage.Update(ctx, func(tx Tx) error {
		s, err := tx.Status(id)
		if errors.Is(err, ErrNotFound) || err == nil && (s.Warned || s.State != Queued && s.State != Deferred) {
			return ErrFenced
		}
		if err != nil {
			return err
		}
		s.Warned = true
		if err := tx.SetStatus(id, s); err != nil {
			return err
		}
		if err := tx.AddEvents(id, events...); err != nil || warning == nil {
			return err
		}
		return q.submit(tx, warning)
	})
	if err == nil && warning != nil {
		q.accepted(int64(len(warning.Body)), &warning.Entry)
	}
	return err
}

// NextCleanup implements Cleanups.
func (q *Queue) NextCleanup(ctx context.Context, after string) (Cleanup, error) {
	c, err := q.storage.NextCleanup(ctx, after)
	c.Age = q.clock.Now().Sub(c.Since)
	return c, err
}

// EndCleanup implements Cleanups.
func (q *Queue) EndCleanup(ctx context.Context, id string) error {
	return q.storage.Update(ctx, func(tx Tx) error {
		_, err := tx.RemoveCleanup(id)
		return err
	})
}

// expireBatch bounds how long one step keeps others from the writer.
const expireBatch = 200

// Expire implements Controller. Sent messages are kept by receipt, failed and returned ones
// also by the time at which they ended.
func (q *Queue) Expire(ctx context.Context, r Retention) (removed int, err error) {
	beyond, err := q.storage.SentBeyond(ctx, r.SentMessages)
	if err != nil {
		return 0, err
	}
	removed, err = q.expire(ctx, Sent, latest(q.clock.Now().Add(-r.Sent), beyond), false)
	if err != nil {
		return removed, err
	}
	if beyond, err = q.storage.FailedBeyond(ctx, r.FailedMessages, r.FailedBytes); err != nil {
		return removed, err
	}
	if !beyond.IsZero() {
		n, err := q.expire(ctx, Failed, beyond, false)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	for _, state := range []State{Failed, Returned} {
		n, err := q.expire(ctx, state, q.clock.Now().Add(-r.Failed), true)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, q.dropTags(ctx)
}

func (q *Queue) expire(ctx context.Context, state State, before time.Time, ended bool) (removed int, err error) {
	for {
		ids, err := q.storage.Ended(ctx, state, before, ended, expireBatch)
		if err != nil || len(ids) == 0 {
			return removed, err
		}
		err = q.storage.Update(ctx, func(tx Tx) error {
			for _, id := range ids {
				s, err := tx.Status(id)
				if errors.Is(err, ErrNotFound) || err == nil && s.State != state { // an operator was faster
					continue
				}
				if err == nil {
					err = tx.Remove(id)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		removed += len(ids)
	}
}

// dropTags removes start tags that no longer matter: those of senders who have nothing
// waiting.
func (q *Queue) dropTags(ctx context.Context) error {
	for {
		var dropped int
		err := q.storage.Update(ctx, func(tx Tx) (err error) {
			dropped, err = tx.DropTags(expireBatch)
			return err
		})
		if err != nil || dropped < expireBatch {
			return err
		}
	}
}
