package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"graphrelay/internal/text"
	"graphrelay/relay/reason"
)

// CheckResend returns ErrState if a message cannot be sent again as another one: it may still go
// out itself, or its content is gone.
func CheckResend(r Record) error {
	switch {
	case r.State == Queued, r.State == Deferred, r.State == Delivering:
		return fmt.Errorf("%w: it is %s and may still go out; hold it first, then send it again", ErrState, r.State)
	case r.HasContent && (r.State == Held || r.State == Failed || r.State.Left()):
		return nil
	case r.State.Left():
		return fmt.Errorf("%w: it was sent, and its content is not kept any longer; forward it from Sent Items of %s", ErrState, r.Lane.Mailbox)
	}
	return fmt.Errorf("%w: it is %s, and its content is gone", ErrState, r.State)
}

// Resend implements Controller. The first commit adds the new message, held; the second one ends
// the first message and releases the other. So neither a crash nor a lost answer leaves two
// messages that go out, or none that has the content.
func (q *Queue) Resend(ctx context.Context, id string, to []string, by string) (again string, err error) {
	r, _, err := q.storage.Get(ctx, id)
	if err == nil {
		err = errors.Join(CheckResend(r), q.Closed(ctx)) // a command opens a queue that was moved, too
	}
	if err != nil {
		return "", err
	}
	now := q.clock.Now()
	again = NewID(q.clock.Wall(now))
	content, err := q.copyContent(ctx, id, again)
	if err != nil {
		return "", err
	}
	e := r.Entry
	e.Envelope = readdressed(e.Envelope, to)
	s := Status{State: Held, Due: now, Reason: reason.Operator, Detail: "it takes the place of " + id + ", which may still be there; delete one of them", HasContent: true}
	err = q.storage.Update(ctx, func(tx Tx) error {
		flow, _, err := newTag(tx, &e)
		if err != nil {
			return err
		}
		return tx.Insert(Record{ID: again, Received: q.clock.Wall(now), Arrived: now, Size: content.Size(), Entry: e, Status: s}, flow.Lane, content)
	})
	if err != nil {
		return "", errors.Join(err, content.Discard())
	}
	q.accepted(content.Size(), &e)
	if err := q.putInPlace(context.WithoutCancel(ctx), r, again, to, by); err != nil {
		if errors.Is(err, ErrState) || errors.Is(err, ErrNotFound) {
			err = errors.Join(err, q.Apply(context.WithoutCancel(ctx), again, Delete, by))
		}
		return again, err
	}
	return again, nil
}

// readdressed returns the envelope with other recipients.
func readdressed(e Envelope, to []string) Envelope {
	e.To = slices.Clone(to)
	e.UTF8 = e.UTF8 || slices.ContainsFunc(to, func(a string) bool { return !text.IsASCII(a) })
	e.DSN.Recipients = maps.Clone(e.DSN.Recipients)
	maps.DeleteFunc(e.DSN.Recipients, func(a string, _ RecipientDSN) bool { return !slices.Contains(to, a) })
	return e
}

// copyContent returns the content of a message, checked and durable, as that of another.
func (q *Queue) copyContent(ctx context.Context, id, other string) (Content, error) {
	body, err := q.storage.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if err := body.Check(); err != nil {
		return nil, err
	}
	c := q.storage.NewContent(other)
	_, err = io.Copy(c, io.NewSectionReader(body, 0, body.Size()))
	if err == nil {
		err = c.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, c.Discard())
	}
	return c, nil
}

// putInPlace ends a message and releases the one that takes its place.
func (q *Queue) putInPlace(ctx context.Context, old Record, again string, to []string, by string) error {
	err := ErrUnknown
	for range 2 { // a second time does no harm
		if err = q.storage.Update(ctx, func(tx Tx) error { return q.putInPlaceOf(tx, old, again, to, by) }); !errors.Is(err, ErrUnknown) {
			break
		}
	}
	if err == nil {
		q.signal()
	}
	return err
}

func (q *Queue) putInPlaceOf(tx Tx, old Record, again string, to []string, by string) error {
	fresh, err := tx.Record(again)
	if err != nil || fresh.State != Held { // it was replaced before
		return err
	}
	r, err := tx.Record(old.ID)
	if err != nil {
		return err
	}
	if r.Fence != old.Fence || r.State != old.State {
		return fmt.Errorf("%w: it has changed meanwhile, and is %s", ErrState, r.State)
	}
	now := q.clock.Now()
	names := text.Shorten(strings.Join(to, " "), 1000)
	e := Event{What: "sent again", Detail: "by " + by + " as " + again + " to " + names}
	if r.State == Held {
		err = q.remove(tx, r, now, e)
	} else {
		s := r.Status
		s.HasContent = false
		s.Fence++
		if err = tx.SetStatus(r.ID, s); err == nil {
			err = tx.AddEvents(r.ID, e)
		}
	}
	if err != nil {
		return err
	}
	return move(tx, fresh, now, Release, Queued, Event{What: "sent again", Detail: "by " + by + " in place of " + r.ID + " to " + names})
}
