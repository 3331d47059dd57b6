package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var errDamaged = errors.New("the database " + DatabaseName + " is damaged; restore the directory, or move it away to go on with an empty queue, and read what is left of it with queue list and queue export")

// corrupt tells whether SQLite found a database that is none, or no longer.
func corrupt(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

func damage(err error) error {
	if corrupt(err) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// checkDatabase reads the whole database once: what is damaged would otherwise show
// when it is needed, with newer mail beside it.
func (s *Store) checkDatabase(ctx context.Context) error {
	var result string
	if err := s.read.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return damage(err)
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, result)
	}
	return nil
}
