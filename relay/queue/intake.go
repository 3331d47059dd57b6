package queue

import (
	"context"
	"errors"
	"time"
)

// writer implements Writer.
type writer struct {
	Content
	q    *Queue
	id   string
	over bool
}

// Create implements Intake.
func (q *Queue) Create(context.Context) (Writer, error) {
	if err := q.Healthy(); err != nil {
		return nil, err
	}
	id := NewID(q.clock.Wall(q.clock.Now()))
	return &writer{Content: q.storage.NewContent(id), q: q, id: id}, nil
}

func (w *writer) ID() string { return w.id }

// Commit makes the content durable first, then the record: the record is the commit point.
func (w *writer) Commit(ctx context.Context, e Entry) error {
	if w.over {
		return errors.New("commit of a message that was committed or aborted before")
	}
	err := w.Sync()
	if err == nil {
		err = w.q.storage.Update(ctx, func(tx Tx) error { return w.q.insert(tx, w.id, e, time.Time{}, w.Content) })
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	w.over = true
	w.q.accepted(w.Size(), &e)
	return nil
}

func (w *writer) Abort() error {
	if w.over {
		return nil
	}
	w.over = true
	return w.Discard()
}

// accepted counts a new message and announces it.
func (q *Queue) accepted(size int64, e *Entry) {
	q.capacity.add(size, e)
	q.signal()
}

// insert queues a message, to be delivered at due, or now if that is zero.
func (q *Queue) insert(tx Tx, id string, e Entry, due time.Time, c Content) error {
	flow, tag, err := newTag(tx, &e)
	if err != nil {
		return err
	}
	now := q.clock.Now()
	s := Status{State: Queued, Due: now, StartTag: tag, HasContent: true}
	if due.After(now) {
		s.State, s.Due = Deferred, due
	}
	if err := q.expect(tx, id, &e, now); err != nil {
		return err
	}
	return tx.Insert(Record{ID: id, Received: q.clock.Wall(now), Arrived: now, Size: c.Size(), Entry: e, Status: s}, flow.Lane, c)
}

// submit queues a message of the relay's own within the transaction that it reports on. It is
// delivered at due, or now if that is zero.
func (q *Queue) submit(tx Tx, m *Submission, due time.Time) error {
	if err := q.insert(tx, m.ID, m.Entry, due, q.storage.ContentOf(m.ID, m.Body)); err != nil {
		return err
	}
	return tx.AddEvents(m.ID, m.Events...)
}
