package sqlite

import (
	"context"
	"time"

	"graphrelay/relay/queue"
)

// maxOverdue bounds what Late returns.
const maxOverdue = 100

// Overdue implements queue.Warnings.
func (s *Store) Overdue(ctx context.Context, before time.Time, via queue.Lane) ([]queue.Record, error) {
	return s.records(ctx, ` WHERE m.state IN ('queued', 'deferred') AND m.received<=?1 AND NOT m.warned AND NOT m.in_doubt
		AND NOT EXISTS (SELECT 1 FROM pause WHERE until>?2
			AND CASE ?3 WHEN '' THEN (connection, principal) = (lane.connection, lane.principal) AND mailbox IN ('', lane.mailbox)
				ELSE (connection, principal) = (?3, ?4) AND mailbox IN ('', ?5) END)
		ORDER BY m.received LIMIT ?6`, micros(before), micros(time.Now()), via.Connection, via.Principal, via.Mailbox, maxOverdue)
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
