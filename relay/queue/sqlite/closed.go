package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"graphrelay/relay/queue"
)

const selectClosed = "SELECT text FROM closed"

// SetClosed implements queue.UpkeepTx.
func (t *transaction) SetClosed(c queue.Closed) error {
	if c == (queue.Closed{}) {
		return t.exec("DELETE FROM closed")
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return t.exec("INSERT OR REPLACE INTO closed (id, text) VALUES (1,?)", string(text))
}

// Closed implements queue.UpkeepTx.
func (t *transaction) Closed() (queue.Closed, error) { return scanClosed(t.row(selectClosed)) }

// Closed implements queue.Reader.
func (s *storage) Closed(ctx context.Context) (queue.Closed, error) {
	return scanClosed(s.read.QueryRowContext(ctx, selectClosed))
}

func scanClosed(row scanner) (c queue.Closed, err error) {
	var text string
	switch err := row.Scan(&text); {
	case errors.Is(err, sql.ErrNoRows):
		return c, nil
	case err != nil:
		return c, err
	}
	return c, json.Unmarshal([]byte(text), &c)
}
