package sqlite

import (
	"context"
	"database/sql"

	"graphrelay/relay/queue"
)

// transaction implements queue.Tx on the writer's connection, with a transaction open
// while operations run. It keeps every statement compiled, since SQLite takes longer to
// compile most of them than to run them; sql.Tx would discard them at each commit.
// Nothing interrupts it: whether an operation was committed must be known.
type transaction struct {
	ctx      context.Context // context.Background
	conn     *sql.Conn
	compiled map[string]*sql.Stmt
	missing  func() error // see storage.missing
	// Of the commit under way:
	present *error // the result of missing; nil: not looked yet
	// Of the operation under way:
	changed bool     // it has changed a row
	files   []string // bodies to remove once it is durable
	bodies  []*spool // that it has inserted as rows
}

func newTransaction(c *sql.Conn) *transaction {
	return &transaction{ctx: context.Background(), conn: c, compiled: map[string]*sql.Stmt{}}
}

// begin takes the lock at once: what is read before is still true at the commit.
func (t *transaction) begin() error { return t.exec("BEGIN IMMEDIATE") }

func (t *transaction) commit() error { return t.exec("COMMIT") }

// rollback fails where the error has ended the transaction already.
func (t *transaction) rollback() { _ = t.exec("ROLLBACK") }

func (t *transaction) statement(query string) (*sql.Stmt, error) {
	if s := t.compiled[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.ctx, query)
	if err == nil {
		t.compiled[query] = s
	}
	return s, err
}

func (t *transaction) result(query string, args ...any) (sql.Result, error) {
	s, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	res, err := s.ExecContext(t.ctx, args...)
	if err == nil {
		n, _ := res.RowsAffected() // never fails
		t.changed = t.changed || n > 0
	}
	return res, err
}

func (t *transaction) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

// count returns how many rows were changed.
func (t *transaction) count(query string, args ...any) (int, error) {
	res, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// one returns none if no row was changed.
func (t *transaction) one(none error, query string, args ...any) error {
	n, err := t.count(query, args...)
	if err == nil && n == 0 {
		return none
	}
	return err
}

func (t *transaction) rows(query string, args ...any) (*sql.Rows, error) {
	s, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, args...)
}

// row compiles anew what cannot be compiled: the row then has the error.
func (t *transaction) row(query string, args ...any) *sql.Row {
	s, err := t.statement(query)
	if err != nil {
		return t.conn.QueryRowContext(t.ctx, query, args...)
	}
	return s.QueryRowContext(t.ctx, args...)
}

// close ends the statements before their connection.
func (t *transaction) close() error {
	for _, s := range t.compiled {
		_ = s.Close()
	}
	return t.conn.Close()
}

var _ queue.Tx = (*transaction)(nil)
