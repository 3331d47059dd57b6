package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"graphrelay/relay/reason"
)

// transition returns the states in which an action is possible, and the one it leads to.
func transition(a Action) (from []State, to State, err error) {
	switch a {
	case Hold:
		return []State{Queued, Deferred, Delivering}, Held, nil
	case Release:
		return []State{Held}, Queued, nil
	case Retry:
		return []State{Queued, Deferred, Held, Failed}, Queued, nil
	case Delete:
		return []State{Queued, Deferred, Held, Failed, Sent, Returned}, "", nil
	}
	return nil, "", fmt.Errorf("unknown action %q", a)
}

// Apply implements Controller.
func (q *Queue) Apply(ctx context.Context, id string, a Action, by string) error {
	from, to, err := transition(a)
	if err != nil {
		return err
	}
	err = q.storage.Update(ctx, func(tx Tx) error {
		now := q.clock.Now()
		r, err := tx.Record(id)
		switch {
		case err != nil:
			return err
		case !slices.Contains(from, r.State):
			return fmt.Errorf("%w: it is %s", ErrState, r.State)
		case a == Delete:
			return remove(tx, r, now)
		case !r.HasContent:
			return fmt.Errorf("%w: its content is gone, the client was told of the failure", ErrState)
		}
		return move(tx, r, now, a, to, Event{What: string(a), Detail: "by " + by})
	})
	if err == nil {
		q.signal()
	}
	return err
}

// remove deletes a message. What it may have left behind is still cleaned up; a message
// that has ended has its cleanup already, if it needed one.
func remove(tx Tx, r Record, now time.Time) error {
	if !r.State.Left() && r.Progress.Leftover {
		if err := tx.AddCleanup(Cleanup{Record: r, Since: now}); err != nil {
			return err
		}
	}
	return tx.Remove(r.ID)
}

// move brings a message to a state at an operator's request. It raises the fence, so that
// a worker that has the message cannot go on.
func move(tx Tx, r Record, now time.Time, a Action, to State, e Event) error {
	due, err := dueAfter(tx, r, now, a)
	if err != nil {
		return err
	}
	if to == Queued && due.After(now) {
		to = Deferred // a queued message is due at once
	}
	s := r.Status
	if to == Queued && s.State != Queued {
		if _, s.StartTag, err = startTag(tx, &r.Entry); err != nil {
			return err
		}
	}
	s.State, s.Due, s.Reason, s.Detail, s.Node, s.Finished = to, due, "", e.Detail, "", time.Time{}
	s.Fence++
	if to != Queued {
		s.Reason = reason.Operator // it is held, or waits before a retry
	}
	if err := tx.SetStatus(r.ID, s); err != nil {
		return err
	}
	return tx.AddEvents(r.ID, e)
}

// dueAfter returns when a message is to be tried after an action. A retry ends the pauses
// that keep it waiting, except an operator's: the cause of the others is taken to be
// mended. It also ends the cleanup of the message, which may be under way.
func dueAfter(tx Tx, r Record, now time.Time, a Action) (time.Time, error) {
	due := now
	if r.State != Deferred || r.Reason == reason.Operator { // after a retry it may be waiting for its cleanup
		due = latest(due, r.Due)
	}
	if a != Retry {
		return due, nil
	}
	if err := tx.EndPauses(r.Lane, reason.Operator); err != nil {
		return due, err
	}
	cleaning, err := tx.RemoveCleanup(r.ID)
	if cleaning {
		due = due.Add(2 * CleanupTime)
	}
	return due, err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
