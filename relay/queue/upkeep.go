package queue

import (
	"context"
	"errors"
	"slices"
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
		return q.submit(tx, warning, time.Time{})
	})
	if err == nil && warning != nil {
		q.accepted(int64(len(warning.Body)), &warning.Entry)
	}
	return err
}

// NextCleanup implements Cleanups. In a queue that is shared it passes over those in lanes of
// other nodes.
func (q *Queue) NextCleanup(ctx context.Context, after string) (Cleanup, error) {
	for {
		c, err := q.storage.NextCleanup(ctx, after)
		if err != nil {
			return c, err
		}
		mine := true
		if q.Shared() {
			owner, err := q.shared.Owner(ctx, c.Lane)
			if err != nil {
				return c, err
			}
			mine = q.share.serves(c.Lane, owner)
		}
		if mine {
			c.Age = q.clock.Now().Sub(c.Since)
			return c, nil
		}
		after = c.ID
	}
}

// EndCleanup implements Cleanups.
func (q *Queue) EndCleanup(ctx context.Context, c Cleanup) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.EndCleanup(c.ID, c.Since) })
}

// expireBatch bounds how long one step keeps others from the writer.
const expireBatch = 200

// Expire implements Controller. Sent messages are kept by receipt, all others also by the
// time at which they ended.
func (q *Queue) Expire(ctx context.Context, r Retention) (removed int, err error) {
	sentBeyond, err := q.storage.EndedBeyond(ctx, Sent, r.SentMessages)
	if err != nil {
		return 0, err
	}
	deletedBeyond, err := q.storage.EndedBeyond(ctx, Deleted, r.SentMessages)
	if err != nil {
		return 0, err
	}
	failedBeyond, err := q.storage.FailedBeyond(ctx, r.FailedMessages, r.FailedBytes)
	if err != nil {
		return 0, err
	}
	now := q.clock.Now()
	for _, e := range []struct {
		state  State
		before time.Time
		ended  bool // by then, too
	}{
		{Sent, latest(now.Add(-r.Sent), sentBeyond), false},
		{Deleted, deletedBeyond, false},
		{Deleted, now.Add(-r.Sent), true},
		{Failed, failedBeyond, false},
		{Failed, now.Add(-r.Failed), true},
		{Returned, now.Add(-r.Failed), true},
	} {
		if e.before.IsZero() {
			continue
		}
		n, err := q.expire(ctx, e.state, e.before, e.ended)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	if err := q.dropContents(ctx, r, now); err != nil {
		return removed, err
	}
	if err := q.dropAudits(ctx); err != nil {
		return removed, err
	}
	return removed, q.dropTags(ctx)
}

// contentsAtOnce bounds how many messages are found whose content is to go.
const contentsAtOnce = 5000

// dropContents removes the content of messages that have left where it is not to be kept any
// longer. What is kept for a case that seldom comes must not keep new mail out, so it goes when
// the disk is short of space.
func (q *Queue) dropContents(ctx context.Context, r Retention, now time.Time) error {
	free, size, err := q.storage.Space()
	if err != nil {
		return err
	}
	before := now.Add(-r.SentContent)
	if free < 2*min(r.FreeSpace, size/10) { // as CheckCapacity counts
		before = now
	}
	for {
		ids, err := q.storage.LeftContents(ctx, before, r.LeftBytes, contentsAtOnce)
		if err != nil {
			return err
		}
		dropped := 0
		for some := range slices.Chunk(ids, expireBatch) {
			n, err := q.dropContent(ctx, some)
			if err != nil {
				return err
			}
			dropped += n
		}
		if len(ids) < contentsAtOnce || dropped == 0 {
			return nil
		}
	}
}

func (q *Queue) dropContent(ctx context.Context, ids []string) (dropped int, err error) {
	err = q.storage.Update(ctx, func(tx Tx) error {
		dropped = 0
		for _, id := range ids {
			s, err := tx.Status(id)
			if errors.Is(err, ErrNotFound) || err == nil && (s.Unreadable || !s.State.Left() || !s.HasContent) {
				continue
			}
			if err == nil {
				s.HasContent = false
				err = tx.SetStatus(id, s)
			}
			if err != nil {
				return err
			}
			dropped++
		}
		return nil
	})
	return dropped, err
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
