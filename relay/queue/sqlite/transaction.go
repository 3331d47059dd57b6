package sqlite

import (
	sqlite3 "modernc.org/sqlite/lib"

	"graphrelay/relay/queue"
)

// transaction implements queue.Tx on the writer's connection, with a transaction open
// while operations run. It keeps every statement compiled, since SQLite takes longer to
// compile most of them than to run them.
// Nothing interrupts it: whether an operation was committed must be known.
type transaction struct {
	conn     *direct
	compiled map[string]*statement
	missing  func() error // see storage.missing
	// Of the commit under way:
	present *error                   // the result of missing; nil: not looked yet
	seen    map[queue.Lane]*seenLane // since nothing but new mail has changed lanes
	// Of the operation under way:
	changed bool     // it has changed a row
	files   []string // bodies to remove once it is durable
	bodies  []*spool // that it has inserted as rows
}

func newTransaction(c *direct) *transaction {
	return &transaction{conn: c, compiled: map[string]*statement{}}
}

// begin takes the lock at once: what is read before is still true at the commit.
func (t *transaction) begin() error {
	t.present = nil
	return t.exec("BEGIN IMMEDIATE")
}

func (t *transaction) commit() error { return t.exec("COMMIT") }

// rollback fails where the error has ended the transaction already.
func (t *transaction) rollback() { _ = t.exec("ROLLBACK") }

func (t *transaction) statement(query string) (*statement, error) {
	if s := t.compiled[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.prepare(query)
	if err == nil {
		t.compiled[query] = s
	}
	return s, err
}

func (t *transaction) exec(query string, args ...any) error {
	_, err := t.count(query, args...)
	return err
}

// count returns how many rows were changed.
func (t *transaction) count(query string, args ...any) (int, error) {
	t.seen = nil
	return t.add(query, args...)
}

// add is count for what new mail adds, which keeps t.seen as it is.
func (t *transaction) add(query string, args ...any) (int, error) {
	s, err := t.statement(query)
	if err != nil {
		return 0, err
	}
	if err := s.exec(args); err != nil {
		return 0, err
	}
	n := int(sqlite3.Xsqlite3_changes(t.conn.tls, t.conn.db))
	t.changed = t.changed || n > 0
	return n, nil
}

// inserted returns the row ID of the last row that was inserted.
func (t *transaction) inserted() int64 {
	return sqlite3.Xsqlite3_last_insert_rowid(t.conn.tls, t.conn.db)
}

// one returns none if no row was changed.
func (t *transaction) one(none error, query string, args ...any) error {
	n, err := t.count(query, args...)
	if err == nil && n == 0 {
		return none
	}
	return err
}

func (t *transaction) rows(query string, args ...any) (*rows, error) {
	s, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	return s.query(args)
}

// row returns the first row, or the error that its Scan returns.
func (t *transaction) row(query string, args ...any) scanner {
	s, err := t.statement(query)
	if err != nil {
		return failed{err}
	}
	return s.first(args)
}

// failed is the row of a query that has none.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// close ends the statements before their connection.
func (t *transaction) close() error {
	for _, s := range t.compiled {
		s.close()
	}
	return t.conn.close()
}

var _ queue.Tx = (*transaction)(nil)
