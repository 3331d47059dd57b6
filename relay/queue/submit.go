package queue

import (
	"context"
	"errors"
	"time"
)

// Submit queues a message of the relay's own that is about no other message. It does nothing if
// the queue has, or had until lately, a message with its ID, so that it may be called again when it
// is not known whether it was called before.
func (q *Queue) Submit(ctx context.Context, m *Submission) error {
	if err := q.Healthy(); err != nil {
		return err
	}
	there := false
	err := q.storage.Update(ctx, func(tx Tx) error {
		_, err := tx.Status(m.ID)
		if there = err == nil; there || !errors.Is(err, ErrNotFound) {
			return err
		}
		return q.submit(tx, m, time.Time{})
	})
	if err == nil && !there {
		q.accepted(int64(len(m.Body)), &m.Entry)
	}
	return err
}

// Quiet reports whether a message is the relay's own and nobody is told of its failure, as of an
// alert. Its failure is logged, and counts as no failure of mail: otherwise an alert that fails
// would be followed by one about it, and so on.
func (e *Entry) Quiet() bool {
	if e.Client != "" || e.Envelope.From != "" || len(e.Envelope.To) == 0 {
		return false
	}
	for _, to := range e.Envelope.To {
		if n := e.Envelope.DSN.Recipients[to].Notify; len(n) != 1 || n[0] != NotifyNever {
			return false
		}
	}
	return true
}

// NotifyNever is the keyword of NOTIFY for a recipient of whose failure nobody wants to hear
// (RFC 3461 section 4.1).
const NotifyNever = "NEVER"
