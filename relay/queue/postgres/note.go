package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// Note implements queue.SharedTx.
func (t *transaction) Note(scope, key string, now time.Time) (queue.Note, error) {
	n := queue.Note{Scope: scope, Key: key}
	var expires int64
	err := t.row(func(row pgx.Row) error { return row.Scan(&n.Value, &expires) },
		"SELECT value, expires FROM note WHERE scope = $1 AND key = $2 AND expires > $3 FOR UPDATE", escape(scope), escape(key), micros(now))
	n.Value, n.Expires = unescape(n.Value), fromMicros(expires)
	return n, err
}

// SetNote implements queue.SharedTx.
func (t *transaction) SetNote(n queue.Note) error {
	t.write(`INSERT INTO note (scope, key, value, expires) VALUES ($1, $2, $3, $4)
		ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value, expires = excluded.expires`,
		escape(n.Scope), escape(n.Key), escape(n.Value), micros(n.Expires))
	return nil
}

// DropNotes implements queue.SharedTx. It passes over those that are in use.
func (t *transaction) DropNotes(now time.Time) error {
	t.write(`WITH over AS MATERIALIZED (SELECT scope, key FROM note WHERE expires <= $1 FOR UPDATE SKIP LOCKED)
		DELETE FROM note USING over WHERE note.scope = over.scope AND note.key = over.key`, micros(now))
	return nil
}

// Notes implements queue.Shared.
func (s *storage) Notes(ctx context.Context, scope string, now time.Time) (map[string]string, error) {
	notes := map[string]string{}
	err := s.reading(ctx, s.work, func(rows pgx.Rows) error {
		var key, value string
		err := rows.Scan(&key, &value)
		notes[unescape(key)] = unescape(value)
		return err
	}, "SELECT key, value FROM note WHERE scope = $1 AND expires > $2", escape(scope), micros(now))
	return notes, err
}
