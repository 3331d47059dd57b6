package queue

import (
	"context"
	"errors"
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
		return []State{Queued, Deferred, Held, Failed, Sent, Returned}, Deleted, nil
	}
	return nil, "", fmt.Errorf("unknown action %q", a)
}

// Check returns ErrState if the action is not possible for the message.
func (a Action) Check(r Record) error {
	from, _, err := transition(a)
	switch {
	case err != nil:
		return err
	case !slices.Contains(from, r.State):
		if r.State == Delivering {
			return fmt.Errorf("%w: it is %s; hold it first", ErrState, r.State)
		}
		return fmt.Errorf("%w: it is %s", ErrState, r.State)
	case a != Delete && !r.HasContent:
		return fmt.Errorf("%w: its content is gone: its client was told of the failure, or it was sent again as another message", ErrState)
	}
	return nil
}

// Narrow returns the filter without the messages for which the action is not possible. It
// returns ErrState if none is left.
func (a Action) Narrow(f Filter) (Filter, error) {
	from, _, err := transition(a)
	if err != nil {
		return f, err
	}
	f.HasContent = f.HasContent || a != Delete
	if len(f.States) == 0 {
		f.States = from
		return f, nil
	}
	f.States = slices.DeleteFunc(slices.Clone(f.States), func(s State) bool { return !slices.Contains(from, s) })
	if len(f.States) == 0 {
		return f, fmt.Errorf("%w: %s is for messages that are %s", ErrState, a, joined(from))
	}
	return f, nil
}

// joined returns states as a text, such as "queued, deferred or held".
func joined(list []State) string {
	text := string(list[0])
	for i, s := range list[1:] {
		separator := ", "
		if i == len(list)-2 {
			separator = " or "
		}
		text += separator + string(s)
	}
	return text
}

// Apply implements Controller.
func (q *Queue) Apply(ctx context.Context, id string, a Action, by string) error {
	err := q.storage.Update(ctx, func(tx Tx) error { return q.apply(tx, id, a, by) })
	if err == nil {
		q.signal()
	}
	return err
}

// applyBatch bounds how long one step of ApplyAll keeps others from the writer.
const applyBatch = 200

// ApplyAll implements Controller. Between two steps it leaves the writer to others for as
// long as the step took.
func (q *Queue) ApplyAll(ctx context.Context, f Filter, a Action, by string) (changed int, err error) {
	f, err = a.Narrow(f)
	if err != nil {
		return 0, err
	}
	limit := f.Limit
	f.Newest = false
	for {
		f.Limit = applyBatch
		if limit > 0 {
			f.Limit = min(applyBatch, limit-changed)
		}
		list, err := q.storage.List(ctx, f)
		if err != nil || len(list) == 0 {
			return changed, err
		}
		start := time.Now()
		n, err := q.applyToEach(ctx, list, a, by)
		changed += n
		if err != nil || limit > 0 && changed == limit {
			return changed, err
		}
		f.After = list[len(list)-1].ID
		select {
		case <-ctx.Done():
			return changed, ctx.Err()
		case <-time.After(time.Since(start)):
		}
	}
}

// applyToEach carries out an action on messages in one commit. It passes over those for
// which it is no longer possible.
func (q *Queue) applyToEach(ctx context.Context, list []Record, a Action, by string) (changed int, err error) {
	err = q.storage.Update(ctx, func(tx Tx) error {
		changed = 0
		for _, r := range list {
			err := q.apply(tx, r.ID, a, by)
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrState) {
				continue
			}
			if err != nil {
				return err
			}
			changed++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	q.signal()
	return changed, nil
}

// apply carries out an action on a message. It returns an ErrState or ErrNotFound before any
// change.
func (q *Queue) apply(tx Tx, id string, a Action, by string) error {
	r, err := tx.Record(id)
	if err == nil {
		err = a.Check(r)
	}
	if err != nil {
		return err
	}
	now := q.clock.Now()
	e := Event{What: string(a), Detail: "by " + by}
	if a == Delete {
		return q.remove(tx, r, now, e)
	}
	_, to, _ := transition(a)
	return move(tx, r, now, a, to, e)
}

// remove deletes the content of a message and keeps its record. What the message may have
// left behind is still cleaned up; one that has left has its cleanup already, if it needed
// one.
func (q *Queue) remove(tx Tx, r Record, now time.Time, e Event) error {
	if !r.State.Left() && r.Progress.Leftover {
		if err := tx.AddCleanup(Cleanup{Record: r, Since: now}); err != nil {
			return err
		}
	}
	s := r.Status
	s.State, s.Due, s.Finished, s.Reason, s.Detail = Deleted, now, q.clock.Wall(now), reason.Operator, e.Detail
	s.Node, s.HasContent = "", false
	s.Fence++
	if err := tx.SetStatus(r.ID, s); err != nil {
		return err
	}
	return tx.AddEvents(r.ID, e)
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
