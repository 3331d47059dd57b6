package sqlite

import (
	"context"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Lanes implements queue.Inspector: the lanes that have messages or a pause, by name.
func (s *Store) Lanes(ctx context.Context) ([]queue.LaneStatus, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT connection, principal, mailbox, '', 0, 0, until, reason FROM pause WHERE until > ?
		UNION ALL
		SELECT connection, principal, mailbox, state, count(*), min(received), 0, ''
		FROM message JOIN lane ON lane.id = message.lane WHERE state NOT IN ('sent', 'failed') GROUP BY lane.id, state
		ORDER BY 1, 2, 3`, micros(time.Now()))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []queue.LaneStatus
	for rows.Next() {
		var l queue.Lane
		var state queue.State
		var n, received, until int64
		var why reason.Reason
		if err := rows.Scan(&l.Connection, &l.Principal, &l.Mailbox, &state, &n, &received, &until, &why); err != nil {
			return nil, err
		}
		if len(list) == 0 || list[len(list)-1].Lane != l {
			list = append(list, queue.LaneStatus{Lane: l, Messages: map[queue.State]int64{}})
		}
		last := &list[len(list)-1]
		if until > 0 {
			last.PausedUntil, last.PausedFor = fromMicros(until), why
			continue
		}
		last.Messages[state] = n
		if t := fromMicros(received); last.Oldest.IsZero() || t.Before(last.Oldest) {
			last.Oldest = t
		}
	}
	return list, rows.Err()
}

// Resume implements queue.Controller.
func (s *Store) Resume(ctx context.Context, l queue.Lane) error {
	err := s.do(ctx, func(ctx context.Context, tx *transaction) error {
		var why reason.Reason
		err := tx.QueryRowContext(ctx, "SELECT reason FROM pause WHERE connection=? AND principal=? AND mailbox=? AND until>?",
			l.Connection, l.Principal, l.Mailbox, micros(time.Now())).Scan(&why)
		if err != nil {
			return notFound(err)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM pause WHERE connection=? AND principal=? AND mailbox=?", l.Connection, l.Principal, l.Mailbox); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE message SET due=?1 WHERE state='deferred' AND due>?1 AND reason=?2
			AND lane IN (SELECT id FROM lane WHERE connection=?3 AND principal=?4 AND ?5 IN ('', mailbox))`,
			micros(time.Now()), why, l.Connection, l.Principal, l.Mailbox)
		return err
	})
	if err == nil {
		s.signal()
	}
	return err
}
