// Package queue is a durable mail queue: what it promises, and the rules by which a
// message moves. An engine (queue/sqlite) adds storage alone.
//
// A message that was committed survives a power cut: its bytes and its record are on
// disk before Commit returns. A claimed message carries a fence, and whoever writes with
// an older fence is refused, so that a worker that lost its claim can neither finish the
// message nor send it. The package knows nothing of SMTP sessions, of MIME or of Graph.
package queue

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The errors that callers distinguish; every other error is a fault of the storage.
var (
	ErrNotFound = errors.New("no such message")
	ErrFenced   = errors.New("the message was claimed or changed by another worker or an operator")
	ErrNoSpace  = errors.New("no space left for the queue")
	ErrFull     = errors.New("the queue holds as much as it may")
	ErrDisk     = errors.New("the queue's disk failed")
	// ErrBroken comes with ErrDisk or damage: no change succeeds until another process opens
	// the queue.
	ErrBroken = errors.New("nothing is taken or sent until graphrelay is restarted")
	// ErrResources is a lack of file descriptors, memory or locks, which passes.
	ErrResources = errors.New("the system has no file descriptors, memory or locks left for the queue")
	ErrAway      = errors.New("the queue's database cannot be reached")
	// ErrUnknown means that the database did not say whether a change was made. Of a change
	// that inserts a client's message it is certain that the message will not be delivered.
	ErrUnknown   = errors.New("it is not known whether the queue was changed")
	ErrNotShared = errors.New("the queue cannot be shared by several nodes")
	ErrNameTaken = errors.New("another relay that works on the queue has the name of this node; give each its own queue.node")
	ErrReplaced  = errors.New("another relay with the name of this node has started")
	ErrDamaged   = errors.New("the stored message is damaged")
	ErrClosed    = errors.New("the queue is closed")
	ErrState     = errors.New("not possible in the message's present state")
)

// Queue is the queue on a storage. It implements Intake, Verdicts, Notes, Work, Warnings,
// Cleanups, Returns, Sends, Inspector and Controller.
type Queue struct {
	storage  Storage
	shared   Shared // storage, if several nodes may share it, else nil
	clock    *Clock
	capacity capacity
	wake     chan struct{}

	// Of this process as a node.
	renewed  atomic.Bool
	closed   atomic.Pointer[Closed] // as the latest renewal has found it; nil before the first
	claiming sync.Mutex
	turns    turns // under claiming
	share    share
	lost     lost
}

var _ interface {
	Intake
	Verdicts
	Notes
	Work
	Warnings
	Cleanups
	Returns
	Sends
	Inspector
	Controller
} = (*Queue)(nil)

// New returns the queue on s, kept by the clock c.
func New(s Storage, c *Clock) *Queue {
	shared, _ := s.(Shared)
	return &Queue{storage: s, shared: shared, clock: c, capacity: capacity{storage: s}, wake: make(chan struct{}, 1)}
}

// Now implements Work.
func (q *Queue) Now() time.Time { return q.clock.Now() }

// Jumped implements Work.
func (q *Queue) Jumped() time.Duration { return q.clock.Jumped() }

// Wall implements Work.
func (q *Queue) Wall(t time.Time) time.Time { return q.clock.Wall(t) }

// Healthy returns nil while the queue can take mail.
func (q *Queue) Healthy() error {
	if c := q.closed.Load(); c != nil && c.Error() != nil {
		return c.Error()
	}
	return q.storage.Healthy()
}

// Close waits for what is being committed and closes the storage.
func (q *Queue) Close() error { return q.storage.Close() }

// Wake implements Work.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
