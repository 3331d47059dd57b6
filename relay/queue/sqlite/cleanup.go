package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"graphrelay/relay/queue"
)

// leaveOrphan notes what a message that is deleted may have left in its mailbox. One
// that ended was made an orphan then, if it had to be.
func leaveOrphan(ctx context.Context, tx *transaction, id string) error {
	var may bool
	err := tx.QueryRowContext(ctx, "SELECT state != 'sent' AND leftover FROM message WHERE id=?", id).Scan(&may)
	if err != nil || !may {
		return err
	}
	return addOrphan(ctx, tx, id)
}

func addOrphan(ctx context.Context, tx *transaction, id string) error {
	r, _, err := scanRecord(tx.QueryRowContext(ctx, "SELECT "+recordColumns+" FROM "+recordTables+" WHERE m.id=?", id))
	if err != nil {
		return err
	}
	record, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO cleanup (id, since, record) VALUES (?,?,?)
		ON CONFLICT DO UPDATE SET since=excluded.since, record=excluded.record`, r.ID, micros(time.Now()), string(record))
	return err
}

// adopt tells whether the message was an orphan, which it is no more.
func adopt(ctx context.Context, tx *transaction, id string) (was bool, err error) {
	res, err := tx.ExecContext(ctx, "DELETE FROM cleanup WHERE id=?", id)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// NextCleanup implements queue.Cleanups.
func (s *Store) NextCleanup(ctx context.Context, after string) (o queue.Cleanup, err error) {
	var since int64
	var record string
	err = s.read.QueryRowContext(ctx, "SELECT since, record FROM cleanup WHERE id>? ORDER BY id LIMIT 1", after).Scan(&since, &record)
	if err != nil {
		return o, notFound(err)
	}
	if err := json.Unmarshal([]byte(record), &o.Record); err != nil {
		return o, fmt.Errorf("an orphan: %w", err)
	}
	o.Since = fromMicros(since)
	return o, nil
}

// EndCleanup implements queue.Cleanups.
func (s *Store) EndCleanup(ctx context.Context, id string) error {
	return s.do(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM cleanup WHERE id=?", id)
		return err
	})
}
