package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

const selectClosed = "SELECT text FROM closed WHERE id = 1"

// SetClosed implements queue.UpkeepTx.
func (t *transaction) SetClosed(c queue.Closed) error {
	if err := t.alone(); err != nil {
		return err
	}
	// Whoever has read that it is open ends first, and others wait: what was accepted is moved.
	t.write("LOCK TABLE closed IN ACCESS EXCLUSIVE MODE")
	if c == (queue.Closed{}) {
		t.write("DELETE FROM closed")
		return nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	t.write("INSERT INTO closed (id, text) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET text = excluded.text", escape(string(text)))
	return nil
}

// Closed implements queue.UpkeepTx.
func (t *transaction) Closed() (queue.Closed, error) {
	var text string
	err := t.row(func(row pgx.Row) error { return row.Scan(&text) }, selectClosed)
	return readClosed(text, err)
}

// Closed implements queue.Reader.
func (s *storage) Closed(ctx context.Context) (queue.Closed, error) {
	var text string
	err := s.one(ctx, s.read, []any{&text}, selectClosed)
	return readClosed(text, err)
}

func readClosed(text string, err error) (c queue.Closed, _ error) {
	if errors.Is(err, queue.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(unescape(text)), &c)
}
