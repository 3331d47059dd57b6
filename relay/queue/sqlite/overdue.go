package sqlite

import (
	"context"
	"time"

	"graphrelay/relay/queue"
)

// maxLate bounds what Late returns.
const maxLate = 100

// Overdue implements queue.Warnings.
func (s *Store) Overdue(ctx context.Context, before time.Time, via queue.Lane) ([]queue.Record, error) {
	return s.records(ctx, ` WHERE m.state IN ('queued', 'deferred') AND m.received<=? AND NOT m.warned
		AND NOT m.accepted AND m.settle<=m.send_wanted
		AND NOT EXISTS (SELECT 1 FROM pause WHERE until>?
			AND connection=coalesce(nullif(?, ''), lane.connection) AND mailbox IN ('', coalesce(nullif(?, ''), lane.mailbox)))
		ORDER BY m.received LIMIT ?`, micros(before), micros(time.Now()), via.Connection, via.Mailbox, maxLate)
}

// MarkWarned implements queue.Warnings.
func (s *Store) MarkWarned(ctx context.Context, id string, warning *queue.Submission, events ...queue.Event) error {
	err := s.do(ctx, func(ctx context.Context, tx *transaction) error {
		res, err := tx.ExecContext(ctx, "UPDATE message SET warned=1 WHERE id=? AND NOT warned AND state IN ('queued', 'deferred')", id)
		if err := exactlyOne(res, err, queue.ErrFenced); err != nil {
			return err
		}
		if err := addEvents(ctx, tx, id, events...); err != nil || warning == nil {
			return err
		}
		return s.submit(ctx, tx, warning)
	})
	if err == nil && warning != nil {
		s.followed(warning)
	}
	return err
}

// followed counts a message that no limit refuses: it would be lost.
func (s *Store) followed(m *queue.Submission) {
	s.took(int64(len(m.Body)))
	s.signal()
}
