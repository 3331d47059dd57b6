package delivery

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"graphrelay/relay/queue"
)

// Attempt is one attempt to send one message, for its Outlet to work on.
type Attempt struct {
	Message  queue.Record
	Progress queue.Progress // is recorded by Save, and at the end of the attempt
	Log      *slog.Logger

	ref       queue.Ref
	work      Queue
	responded func()
	slot      *slot
	notes     []queue.Event // not yet recorded
	body      queue.Body
}

func (d *Deliverer) newAttempt(m queue.Record, ref queue.Ref, s *slot) *Attempt {
	return &Attempt{
		Message: m, Progress: m.Progress, Log: d.log.With("id", m.ID), ref: ref, work: d.work, slot: s,
		responded: func() { d.slots.responded(m.Lane, time.Now()) },
	}
}

// First reports whether this is the first attempt of the message that counts. What
// later ones would only repeat need not be noted again.
func (a *Attempt) First() bool { return a.Message.Attempts <= 1 }

// Body returns the stored message, unchecked. It is valid until CloseBody or the end of the
// attempt.
func (a *Attempt) Body(ctx context.Context) (queue.Body, error) {
	if a.body == nil {
		body, err := a.work.Open(ctx, a.Message.ID)
		if err != nil {
			return nil, err
		}
		a.body = body
	}
	return a.body, nil
}

// Twins returns the other messages of the mailbox with the same Message-ID, but not those that
// had ended before since, nor deleted ones that were certainly not sent. Clients submit a
// message again, or alone to each recipient.
func (a *Attempt) Twins(ctx context.Context, since time.Time) ([]queue.Record, error) {
	if a.Message.MessageID == "" {
		return nil, nil
	}
	list, err := a.work.List(ctx, queue.Filter{MessageID: a.Message.MessageID})
	return slices.DeleteFunc(list, func(r queue.Record) bool {
		return r.ID == a.Message.ID || r.Lane.Mailbox != a.Message.Lane.Mailbox || !r.Finished.IsZero() && r.Finished.Before(since) ||
			r.State == queue.Deleted && !r.Progress.InDoubt
	}), err
}

// Note adds a line to the message's history, which is recorded with the next Save or the end.
func (a *Attempt) Note(what, detail string) { a.NoteRequest(what, detail, "", 0) }

// NoteRequest is Note about a request: the id that the service has given it, and how long it took.
func (a *Attempt) NoteRequest(what, detail, requestID string, took time.Duration) {
	a.notes = append(a.notes, queue.Event{At: time.Now(), What: what, Detail: detail, RequestID: requestID, Took: took})
}

// Now returns the queue's time, which the progress is kept in. The wall clock may jump.
func (a *Attempt) Now() time.Time { return a.work.Now() }

// Wall returns what the wall clock shows at such a time, for comparison with the times of
// others.
func (a *Attempt) Wall(t time.Time) time.Time { return a.work.Wall(t) }

// Age returns for how long the message has been in the queue.
func (a *Attempt) Age() time.Duration { return a.Now().Sub(a.Message.Arrived) }

// Responded reports to the Deliverer that a request for the message's lane was carried out,
// so that the lane counts as responsive.
func (a *Attempt) Responded() { a.responded() }

// Holds tells the Deliverer how many bytes of memory the attempt holds from now on, in place of
// what Outlet.Needs has said or Holds before. It does not wait if that is more.
func (a *Attempt) Holds(bytes int64) { a.slot.hold(bytes) }

// Save records Progress and the notes; they are durable on return. It returns
// queue.ErrFenced if the claim was lost: then the attempt must go no further.
func (a *Attempt) Save(ctx context.Context) error {
	for _, n := range a.notes {
		a.Log.Debug(n.What, "detail", n.Detail, "request_id", n.RequestID, "took", n.Took)
	}
	err := a.work.Save(ctx, a.ref, a.Progress, a.notes...)
	if err == nil {
		a.notes = nil
	}
	return err
}

// CloseBody releases the memory and the file of the stored message. Body opens it again.
func (a *Attempt) CloseBody() {
	if a.body != nil {
		_ = a.body.Close()
		a.body = nil
	}
}
