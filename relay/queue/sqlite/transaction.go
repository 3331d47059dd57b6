package sqlite

import (
	"context"
	"database/sql"
)

// transaction is the writer's connection, with a transaction open while operations
// run. It keeps every statement compiled, since SQLite takes longer to compile most
// of them than to run them; sql.Tx would throw them away at each commit.
type transaction struct {
	conn     *sql.Conn
	compiled map[string]*sql.Stmt
}

func newTransaction(c *sql.Conn) *transaction {
	return &transaction{conn: c, compiled: map[string]*sql.Stmt{}}
}

// begin takes the lock at once: what is read before is still true at the commit.
func (t *transaction) begin(ctx context.Context) error {
	_, err := t.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

func (t *transaction) commit(ctx context.Context) error {
	_, err := t.ExecContext(ctx, "COMMIT")
	return err
}

// rollback fails where the error has ended the transaction already.
func (t *transaction) rollback(ctx context.Context) { _, _ = t.ExecContext(ctx, "ROLLBACK") }

func (t *transaction) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := t.compiled[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(ctx, query)
	if err == nil {
		t.compiled[query] = s
	}
	return s, err
}

func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := t.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := t.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext compiles anew what cannot be compiled: the row then has the error.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := t.statement(ctx, query)
	if err != nil {
		return t.conn.QueryRowContext(ctx, query, args...)
	}
	return s.QueryRowContext(ctx, args...)
}

// close ends the statements before their connection.
func (t *transaction) close() error {
	for _, s := range t.compiled {
		_ = s.Close()
	}
	return t.conn.Close()
}
