// Package postgres is the queue engine for several relays: they share a PostgreSQL database,
// or one that is compatible with it, and so one queue.
//
// It provides what package queue needs with row locks, and with a table lock where it closes a
// queue. It keeps nothing in the session of a connection, neither advisory locks nor LISTEN nor
// temporary tables, so a pooler in transaction mode may stand in between. A few writers in each
// process combine the transactions of concurrent sessions and workers into one commit.
//
// While the database cannot be reached, every call fails at once with queue.ErrAway, and goes
// on once it can be reached again.
package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5/pgxpool"

	"graphrelay/internal/private"
	"graphrelay/relay/queue"
)

// Options opens a queue.
type Options struct {
	// URL of the database, in the form that libpq reads, with the parameters of pgx.
	URL string
	// Dir takes large messages while they are received and delivered. It is created if
	// missing.
	Dir string
	// Node is the name of this relay among those that share the queue (queue.Node). With it
	// the database is brought to the schema of this version. It is empty for the commands.
	Node string
	// Timeout is how long a transaction may take before the database counts as away: 5 s if
	// it is 0. It has to be well below the lease of a node.
	Timeout time.Duration
	Source  queue.Source // of the queue's clock; nil: the system's clocks
	// Warn is told, at the start of a node, what may cost mail although it was accepted; nil:
	// nobody is.
	Warn func(text string)
}

const (
	defaultTimeout = 5 * time.Second
	// openTime is the time for each step of opening a queue. Nobody has a lease yet, and a database
	// that is busy is worth waiting for.
	openTime = 30 * time.Second
)

// storage implements queue.Shared.
type storage struct {
	node    string
	spool   spoolDir
	lock    *flock.Flock // of the spool, if it is a node's
	timeout time.Duration
	schema  schema
	clock   *queue.Clock
	work    *pgxpool.Pool // of writers and delivery, which people cannot keep waiting
	read    *pgxpool.Pool // of people and tools
	name    string        // of this process in the table writer
	ops     chan *op
	tags    tags
	arrived arrived
	away    atomic.Pointer[error] // why the database cannot be reached
	doubts  doubts
	passed  passedOver
	rounds  atomic.Int64       // round trips of transactions, which benchmarks count
	turns   chan struct{}      // taken by who transfers a part of a content
	sweeps  chan struct{}      // wakes the sweeper
	ending  context.Context    // done when the storage is closed
	end     context.CancelFunc // ends it
	running sync.WaitGroup     // what runs until then
	writers sync.WaitGroup
	mu      sync.RWMutex // guards closed against sends on ops
	closed  bool
}

var _ queue.Shared = (*storage)(nil)

// Open opens the queue in a database, which it creates there if need be.
func Open(ctx context.Context, o Options) (*queue.Queue, error) {
	q, _, err := openQueue(ctx, o)
	return q, err
}

func openQueue(ctx context.Context, o Options) (*queue.Queue, *storage, error) {
	s, err := openStorage(ctx, o)
	if err != nil {
		return nil, nil, fmt.Errorf("open the queue in the database: %w", &openError{err})
	}
	s.timeout = cmp.Or(o.Timeout, defaultTimeout)
	q := queue.New(s, s.clock)
	s.start()
	return q, s, nil
}

// openError is an error on one line, also where it tells of several servers.
type openError struct{ err error }

func (e *openError) Error() string { return oneLine(e.err) }
func (e *openError) Unwrap() error { return e.err }

func openStorage(ctx context.Context, o Options) (_ *storage, err error) {
	s := &storage{
		node:    o.Node,
		timeout: openTime,
		schema:  schema{further},
		name:    rand.Text(),
		ops:     make(chan *op, maxBatch),
		turns:   make(chan struct{}, transfers),
		sweeps:  make(chan struct{}, 1),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.arrived.init()
	defer func() {
		if err != nil {
			s.end()
			s.closePools()
			err = errors.Join(err, s.unlock())
		}
	}()
	if s.spool, err = openSpool(filepath.Join(o.Dir, spoolName)); err != nil {
		return nil, err
	}
	if o.Node != "" {
		if s.lock, err = s.spool.claim(); err != nil {
			return nil, err
		}
	}
	if err := s.connect(o.URL); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, o.Node); err != nil {
		return nil, err
	}
	if err := s.startClock(ctx, o.Source); err != nil || o.Node == "" {
		return s, err
	}
	if o.Warn != nil {
		if err := s.warn(ctx, o.Warn); err != nil {
			return nil, err
		}
	}
	return s, s.confirmOwn()
}

// startClock has the queue's clock follow the database's.
func (s *storage) startClock(ctx context.Context, source queue.Source) error {
	var now int64
	if err := s.work.QueryRow(ctx, "SELECT "+databaseTime).Scan(&now); err != nil {
		return fmt.Errorf("read the queue's clock: %w", err)
	}
	s.clock = queue.NewFollower(fromMicros(now), source)
	return nil
}

// databaseTime is the queue's time by the database: its clock, unless an earlier one of its
// servers was ahead of it.
const databaseTime = `greatest((extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT,
	coalesce((SELECT queue FROM clock WHERE id = 1), 0))`

// start runs what the storage does beside its callers.
func (s *storage) start() {
	for n := range writers {
		s.writers.Go(func() { s.newWriter(n).loop() })
	}
	s.running.Go(s.confirmLoop)
	if s.node != "" {
		s.running.Go(s.sweepLoop)
	}
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
	s.writers.Wait()
	_ = s.confirm() // what fails is confirmed at the next start of the node
	s.end()
	s.running.Wait()
	s.closePools()
	return s.unlock()
}

// unlock gives back what claim has locked.
func (s *storage) unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Unlock()
}

func (s *storage) closePools() {
	for _, p := range []*pgxpool.Pool{s.work, s.read} {
		if p != nil {
			p.Close()
		}
	}
}

const spoolName = "spool"

// spoolDir is the directory of temporary files.
type spoolDir string

// openSpool creates the directory.
func openSpool(path string) (spoolDir, error) {
	if err := private.MkdirAll(path); err != nil {
		return "", fmt.Errorf("create the spool of the queue: %w", err)
	}
	return spoolDir(path), nil
}

const lockName = "lock"

// claim locks the directory for a node, and removes what a process left that was killed. The
// lock shows that the process before is dead (queue.About.Home).
func (d spoolDir) claim() (*flock.Flock, error) {
	lock := flock.New(filepath.Join(string(d), lockName), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", d, err)
	}
	if !ok {
		return nil, fmt.Errorf("%s is in use by another graphrelay; stop that one or choose another data_dir", filepath.Dir(string(d)))
	}
	entries, err := os.ReadDir(string(d))
	for _, e := range entries {
		if err == nil && e.Name() != lockName {
			err = os.Remove(filepath.Join(string(d), e.Name()))
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock, nil
}
