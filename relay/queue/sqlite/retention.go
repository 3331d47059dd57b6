package sqlite

import (
	"context"
	"database/sql"
	"time"

	"graphrelay/relay/queue"
)

// expireBatch bounds how long one step keeps others from the writer.
const expireBatch = 200

// Expire implements queue.Controller.
func (s *Store) Expire(ctx context.Context, r queue.Retention) (removed int, err error) {
	beyond, err := s.beyondCount(ctx, r.SentMessages)
	if err != nil {
		return 0, err
	}
	for _, ended := range []struct {
		state  queue.State
		before time.Time
	}{
		{queue.Sent, later(time.Now().Add(-r.Sent), beyond)},
		{queue.Failed, time.Now().Add(-r.Failed)},
	} {
		n, err := s.expire(ctx, ended.state, micros(ended.before))
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, s.forgetTurns(ctx)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// beyondCount is the receipt of the newest of the messages that are sent and too many.
func (s *Store) beyondCount(ctx context.Context, keep int64) (time.Time, error) {
	var received int64
	err := s.read.QueryRowContext(ctx, "SELECT received FROM message WHERE state=? ORDER BY received DESC LIMIT 1 OFFSET ?",
		queue.Sent, keep).Scan(&received)
	if err == sql.ErrNoRows {
		return time.Time{}, nil
	}
	return fromMicros(received), err
}

// expire removes the messages in a state that were received up to a time and ended
// by then.
func (s *Store) expire(ctx context.Context, state queue.State, until int64) (removed int, err error) {
	for {
		ids, err := s.ids(ctx, "SELECT id FROM message WHERE state=? AND received<=? AND (finished<=?2 OR ?1='sent') ORDER BY received LIMIT ?",
			state, until, expireBatch)
		if err != nil || len(ids) == 0 {
			return removed, err
		}
		var files []string
		err = s.do(ctx, func(ctx context.Context, tx *transaction) error {
			files = files[:0]
			for _, id := range ids {
				var kind int
				err := tx.QueryRowContext(ctx, "SELECT body FROM message WHERE id=? AND state=?", id, state).Scan(&kind)
				if err == sql.ErrNoRows { // steered meanwhile
					continue
				}
				if err != nil {
					return err
				}
				if kind == bodyFile {
					files = append(files, id)
				}
				if err := remove(ctx, tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		s.removeFiles(files)
		removed += len(ids)
	}
}

func (s *Store) ids(ctx context.Context, query string, args ...any) (ids []string, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
