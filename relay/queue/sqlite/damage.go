package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Errors about damage end with what can be done.
var (
	errDamaged = errors.New("the database " + DatabaseName + " is damaged; restore the directory, or move it away to go on with an empty queue, and read what is left of it with queue list and queue export")
	errEmpty   = errors.New("the database " + DatabaseName + " is empty or missing beside what belongs to it; restore it, or move the directory away to go on with an empty queue")
	errLog     = errors.New("the log " + walName + " lacks what was committed; restore it, or go on without the mail that it held by removing " + shmName)
)

// corrupt reports whether SQLite found that the file is no database, or a damaged one.
func corrupt(err error) bool {
	code := resultCode(err) & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

func damage(err error) error {
	if corrupt(err) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// checkFiles finds what SQLite would take for a new database, or for a log that ends
// earlier. It has to run before SQLite, which would then overwrite it.
func (s *storage) checkFiles() error {
	st, err := os.Stat(filepath.Join(s.dir, DatabaseName))
	switch {
	case err == nil && st.Size() > 0:
		return s.checkLog()
	case err == nil:
		return s.checkEmpty()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	bodies, err := os.ReadDir(filepath.Join(s.dir, bodiesName))
	if err == nil && len(bodies) > 0 {
		err = errEmpty
	}
	if _, none := os.Stat(filepath.Join(s.dir, walName)); none == nil {
		err = errEmpty
	}
	return err
}

// logHeader is the size of a log in which nothing was written (sqlite.org/walformat.html).
const logHeader = 32

// checkEmpty decides about a database without content. A first start that was killed leaves
// one. It has lost its content if the directory was in use before, or if there is anything
// that belongs to it.
func (s *storage) checkEmpty() error {
	bodies, err := os.ReadDir(filepath.Join(s.dir, bodiesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log, err := os.Stat(filepath.Join(s.dir, walName))
	if len(bodies) > 0 || err == nil && log.Size() > logHeader || s.wasInUse() {
		return errEmpty
	}
	return nil
}

// How long a start may read what is not a record, and wait for the check of the indexes.
const (
	bodyCheck  = time.Second
	indexCheck = 2 * time.Second
)

// checkDatabase reads what a start depends on: damage would otherwise show only when the
// damaged part is needed, with newer mail beside it. The records are read in full, 600,000 a
// second. Whether the indexes have each of them takes three times as long; of a long queue
// that is found beside the delivery, and damage then ends all changes. Bodies and histories
// are read as far as time allows: they may be 20 GiB, read at 400 MB a second from memory
// and at 23 from the disk. A damaged body shows when it is opened.
func (s *storage) checkDatabase(ctx context.Context, bodies, indexes time.Duration) error {
	indexed := s.checkIndexes()
	err := s.checkTables(ctx, "quick_check")
	if err == nil {
		err = s.checkBodies(ctx, bodies)
	}
	if err != nil {
		return err
	}
	select {
	case err := <-indexed:
		return err
	case <-time.After(indexes):
		s.failAfter(indexed)
		return nil
	}
}

// failAfter waits in the background for the result of checkIndexes.
func (s *storage) failAfter(indexed <-chan error) {
	s.checks.Go(func() {
		if err := <-indexed; errors.Is(err, errDamaged) {
			_ = s.fail(err)
		}
	})
}

// checkIndexes looks in the background, until the storage is closed, whether each record is in
// the indexes.
func (s *storage) checkIndexes() <-chan error {
	ctx, stop := context.WithCancel(context.Background())
	s.stopChecks = stop
	result := make(chan error, 1)
	s.checks.Go(func() { result <- s.checkTables(ctx, "integrity_check") })
	return result
}

func (s *storage) checkTables(ctx context.Context, check string) error {
	for _, table := range []string{"lane", "message", "pause", "cleanup", "node", "clock"} {
		if err := s.pragmaCheck(ctx, check+"("+table+")"); err != nil {
			return err
		}
	}
	return nil
}

func (s *storage) checkBodies(ctx context.Context, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := s.pragmaCheck(limited, "quick_check(1)")
	if limited.Err() != nil && ctx.Err() == nil && !errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// holdUnknownStates holds messages whose state is not one of queue.States, since no other query
// would find them.
func (s *storage) holdUnknownStates(ctx context.Context) error {
	known := "''"
	for _, state := range queue.States() {
		known += ",'" + string(state) + "'"
	}
	damaged, err := ids(s.read.QueryContext(ctx, "SELECT id FROM message WHERE state NOT IN ("+known+")"))
	if err != nil || len(damaged) == 0 {
		return err
	}
	return s.Update(ctx, func(tx queue.Tx) error {
		for _, id := range damaged {
			if err := holdDamaged(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func holdDamaged(tx queue.Tx, id string) error {
	st, err := tx.Status(id)
	if err != nil {
		return err
	}
	st.State, st.Reason, st.Detail = queue.Held, reason.Storage, "its state cannot be read"
	st.Fence++
	return tx.SetStatus(id, st)
}

func (s *storage) pragmaCheck(ctx context.Context, check string) error {
	var result string
	if err := s.read.QueryRowContext(ctx, "PRAGMA "+check).Scan(&result); err != nil {
		return damage(err)
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, result)
	}
	return nil
}
