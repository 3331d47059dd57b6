// Package sqlite is the embedded queue engine: one SQLite database in WAL mode
// with synchronous=FULL, and a file beside it for each large body.
//
// It provides what package queue needs on one machine with a local disk. One writer
// combines the transactions of concurrent sessions and workers into one commit, so that
// they share the cost of the flush. A second process (the queue
// commands) may open the same directory; only one may hold it exclusively.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver

	"graphrelay/internal/private"
	"graphrelay/relay/queue"
)

// Options opens a queue.
type Options struct {
	Dir string // created if missing
	// Exclusive is for the daemon: it locks the directory against a second one,
	// gives back what an earlier process had claimed, and sweeps body files that
	// were never committed. Without it the queue is opened beside a running daemon.
	Exclusive bool
	Source    queue.Source // of the queue's clock; nil: the system's clocks
	// Broken is called once when a fault of the disk or of the database has ended every
	// change (queue.ErrBroken), with that error. It must not wait for the queue.
	Broken func(error)
	files  fileSystem // replaced by tests that make writes fail
}

// storage implements queue.Storage.
type storage struct {
	dir        string
	files      fileSystem
	bodies     syncer         // of the directory of bodies
	locks      []func() error // release the directory; none if it is not held exclusively
	writer     *transaction   // used by the committer alone
	read       *sql.DB        // of people and tools
	work       *sql.DB        // of delivery, which they cannot keep waiting
	due        *sql.Stmt      // nextDue, and bodyOf, on work
	bodyOf     *sql.Stmt
	own        presence // of the files that are open
	ops        chan *op
	broken     atomic.Pointer[error]
	onBroken   func(error) // may be nil
	looked     looked
	done       chan struct{}  // closed when the committer has stopped
	checks     sync.WaitGroup // of the indexes, in the background
	stopChecks func()         // nil until they begin
	mu         sync.RWMutex   // guards closed against sends on ops
	closed     bool
}

var _ queue.Storage = (*storage)(nil)

// DatabaseName is the database's file in the store's directory.
const DatabaseName = "queue.db"

// Open opens or creates the queue in o.Dir.
func Open(ctx context.Context, o Options) (*queue.Queue, error) {
	q, _, err := openQueue(ctx, o)
	return q, err
}

func openQueue(ctx context.Context, o Options) (*queue.Queue, *storage, error) {
	s, err := openStorage(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	last, err := s.lastReading(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the queue's clock in %s: %w", o.Dir, err), s.Close())
	}
	q := queue.New(s, queue.NewClock(last, o.Source))
	if o.Exclusive {
		if err := s.recover(ctx, q); err != nil {
			_ = q.Close()
			return nil, nil, fmt.Errorf("recover the queue in %s: %w", o.Dir, err)
		}
	}
	return q, s, nil
}

func openStorage(ctx context.Context, o Options) (*storage, error) {
	s := &storage{
		dir:      o.Dir,
		files:    o.files,
		onBroken: o.Broken,
		ops:      make(chan *op, maxBatch),
		done:     make(chan struct{}),
	}
	if s.files == nil {
		s.files = osFiles{}
	}
	if err := private.MkdirAll(filepath.Join(o.Dir, bodiesName)); err != nil {
		return nil, fmt.Errorf("create the queue's directory: %w", err)
	}
	if o.Exclusive {
		if err := s.lockDir(); err != nil {
			return nil, errors.Join(err, s.release())
		}
	}
	err := s.checkFiles()
	if err == nil && o.Exclusive {
		err = s.keepOthersOut()
	}
	if err == nil {
		err = s.openWithReserve(ctx)
	}
	if err != nil {
		_ = s.release()
		return nil, fmt.Errorf("open the queue in %s: %w", o.Dir, damage(err))
	}
	go s.commitLoop()
	return s, nil
}

// closeDatabase ends what openDatabase has begun.
func (s *storage) closeDatabase() error {
	if s.stopChecks != nil {
		s.stopChecks()
		s.checks.Wait()
	}
	var errs []error
	if s.bodies != nil {
		errs = append(errs, s.bodies.Close())
	}
	for _, db := range []*sql.DB{s.read, s.work} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.writer != nil { // last: it moves the log into the database
		errs = append(errs, s.writer.close())
	}
	s.writer, s.bodies, s.read, s.work = nil, nil, nil, nil
	return errors.Join(errs...)
}

// pragmas are what every connection needs: a wait for another process that writes, a small
// cache, and no temporary files.
var pragmas = []string{"busy_timeout(10000)", "cache_size(-2000)", "temp_store(2)"}

// The others of readers and of the writer. auto_vacuum must come before the first table;
// incremental, or a backlog would never give its space back.
var (
	readerPragmas = append(slices.Clip(pragmas), "query_only(1)")
	writerPragmas = append(slices.Clip(pragmas), "auto_vacuum(2)", "journal_mode(WAL)", "synchronous(FULL)")
)

// dsn names the database for openSQLite.
func dsn(path string, pragmas []string) string {
	return uri(path) + "?_pragma=" + strings.Join(pragmas, "&_pragma=")
}

// uri names the database for SQLite (sqlite.org/uri.html).
func uri(path string) string { return "file:" + uriPath.Replace(filepath.ToSlash(path)) }

// uriPath escapes what would end the path of a URI.
var uriPath = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")

func (s *storage) openDatabase(ctx context.Context) (err error) {
	path := filepath.Join(s.dir, DatabaseName)
	if err := s.openWriter(ctx, path); err != nil {
		return err
	}
	if s.read, err = openReaders(ctx, path, readers); err != nil {
		return err
	}
	if s.work, err = openReaders(ctx, path, workers); err != nil {
		return err
	}
	if s.due, err = s.work.PrepareContext(ctx, nextDue); err != nil {
		return err
	}
	if s.bodyOf, err = s.work.PrepareContext(ctx, selectBody); err != nil {
		return err
	}
	if s.bodies, err = s.files.OpenDir(filepath.Join(s.dir, bodiesName)); err != nil {
		return err
	}
	s.own, err = s.look()
	return err
}

// openWriter opens the writer's connection, and brings the schema up to date over another one.
func (s *storage) openWriter(ctx context.Context, path string) error {
	useFdatasync()
	d, err := openDirect(uri(path), writerPragmas...)
	if err != nil {
		return err
	}
	s.writer = newTransaction(d)
	s.writer.missing = s.missing
	if err := checkPragmas(d); err != nil {
		return err
	}
	db := openSQLite(dsn(path, writerPragmas))
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return migrate(ctx, c, s.locks != nil)
}

// How many connections read at a time.
const (
	readers = 3 // for operators, tools and the acceptance of mail
	workers = 2 // for delivery
)

// openReaders opens all connections at once: later there might be no descriptor for one.
func openReaders(ctx context.Context, path string, n int) (*sql.DB, error) {
	db := openSQLite(dsn(path, readerPragmas))
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	for range n {
		c, err := db.Conn(ctx)
		if err != nil {
			return db, err
		}
		defer c.Close()
	}
	return db, nil
}

// lastReading returns the last reading of the queue's clock, zero if there is none.
func (s *storage) lastReading(ctx context.Context) (queue.Reading, error) {
	var at, wall int64
	err := s.read.QueryRowContext(ctx, "SELECT queue, wall FROM clock").Scan(&at, &wall)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return queue.Reading{Queue: fromMicros(at), Wall: fromMicros(wall)}, err
}

// recover gives back what an earlier process had claimed (the directory lock proves that
// it is dead) and sweeps bodies that never got their row.
func (s *storage) recover(ctx context.Context, q *queue.Queue) error {
	if err := s.checkDatabase(ctx, bodyCheck, indexCheck); err != nil {
		return err
	}
	if err := s.holdUnknownStates(ctx); err != nil {
		return err
	}
	if err := q.Recover(ctx); err != nil {
		return err
	}
	if err := s.turnsPassed(ctx, q.Now()); err != nil {
		return err
	}
	return s.sweepBodies(ctx)
}

// Healthy implements queue.Storage.
func (s *storage) Healthy() error {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	return s.looked.error(s.missing)
}

// Close implements queue.Storage.
func (s *storage) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.ops)
	s.mu.Unlock()
	<-s.done
	return s.release()
}

func (s *storage) release() error {
	errs := []error{s.closeDatabase()}
	for _, unlock := range s.locks {
		errs = append(errs, unlock())
	}
	return errors.Join(errs...)
}

func micros(t time.Time) int64 { return queue.Micros(t) }

func fromMicros(us int64) time.Time { return queue.FromMicros(us) }
