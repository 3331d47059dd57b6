package queue

import (
	"context"
	"io"
	"time"

	"graphrelay/relay/reason"
)

// Writer takes the bytes of one message. The message does not exist before Commit.
type Writer interface {
	io.Writer
	// ID is the queue ID that the message will have.
	ID() string
	// View calls do with what was written so far. It returns the error of do.
	View(do func(message io.ReaderAt) error) error
	// Commit returns when bytes and entry are durable. It returns ErrNoSpace if the disk
	// is full. After an error the message is not in the queue.
	Commit(ctx context.Context, e Entry) error
	// Abort leaves nothing behind. It does nothing after Commit.
	Abort() error
}

// Body is the stored message. It must be closed.
type Body interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// Check reads all of it, and returns ErrDamaged if it, or the envelope in the record,
	// is not what was accepted.
	Check() error
}

// Limits bounds what the queue takes; a zero field sets no bound. What does not fit on the
// disk is never taken.
type Limits struct {
	Messages  int64  // that wait; as many others may be held
	Bytes     int64  // of both
	FreeSpace int64  // bytes that stay free on the disk, at most a tenth of it
	Folder    string // on that disk, as errors name it
}

// Intake accepts messages.
type Intake interface {
	// Create begins a message.
	Create(ctx context.Context) (Writer, error)
	// CheckCapacity returns ErrFull or ErrNoSpace if a message of size bytes from there must
	// not be taken: for nobody, or because its client or lane has more than its share. The
	// zero Origin has no share. Sessions that check at the same time may together exceed the limits by
	// what they bring.
	CheckCapacity(ctx context.Context, size int64, l Limits, from Origin) error
}

// Verdicts lets the session that has accepted a message wait for its first attempt, which any
// node may make. A refusal reaches the client, or whoever is notified, and never both.
type Verdicts interface {
	// Verdict reports whether the first attempt has come to an end. Then refusal is that of the
	// outcome, or empty if the message was not refused, or not while the session waited.
	Verdict(ctx context.Context, id string) (refusal string, decided bool, err error)
	// Told records that the client is told of the refusal, and removes the notification of it
	// and the content of the message. It has to succeed before the client is told. It returns
	// ErrFenced if the notification is on its way. After ErrUnknown it may be called again.
	Told(ctx context.Context, id string) error
}

// Notes are short texts that the nodes of a shared queue leave for one another.
type Notes interface {
	// SetNote stores a note for some time, in place of the one with its scope and key.
	SetNote(ctx context.Context, n Note, keep time.Duration) error
	// Notes returns the notes of a scope, by key.
	Notes(ctx context.Context, scope string) (map[string]string, error)
}

// Claim is a request for work.
type Claim struct {
	Node    string
	Max     int // tasks at most, of responsive lanes
	PerLane int // tasks that one responsive lane may have in delivery at a time
	// Responsive reports whether requests of a lane are being answered; nil stands for
	// all lanes. Of an unresponsive lane one task may be in delivery at a time.
	Responsive      func(Lane) bool
	MaxUnresponsive int // tasks at most, of unresponsive lanes
	Memory          Memory
	// Serves reports whether the node can deliver for a lane; nil stands for all lanes. In a
	// queue that is shared, the others have leftUnserved to take one that it cannot serve.
	Serves func(Lane) bool
	// Private reports whether the node has a credential for a lane that the others may not
	// have; nil stands for no lane. Such a lane is looked after here when it is nobody's.
	Private func(Lane) bool
}

// Memory bounds the memory that the tasks of a claim take. The last task may exceed a bound, so
// that a message which needs more than all of it is delivered too.
type Memory struct {
	// Needs returns how many bytes the delivery of a message takes at most; nil: nothing is
	// bounded.
	Needs        func(Record) int64
	Responsive   int64            // bytes that responsive lanes may take together
	Unresponsive int64            // and the others
	Lane         func(Lane) int64 // bytes that one lane may take
}

// Work hands out messages for delivery. Its times are the queue's; see Clock. Save and Finish return ErrFenced when the
// claim is no longer the caller's.
type Work interface {
	// Now returns the queue's time, and Wall what the wall clock shows at such a time.
	Now() time.Time
	Wall(t time.Time) time.Time
	// Jumped returns by how much the wall clock was set ahead since the last call, or back if
	// it is negative; 0 if it went on as usual.
	Jumped() time.Duration
	// Claim takes messages that are due and marks them Delivering, with one more
	// attempt. Lanes with the fewest messages in delivery come first, and among equals
	// the one that waited longest. Within a lane new and deferred messages alternate,
	// and new ones are shared out among their senders (see docs/queue.md).
	// Claim also returns when the next message falls due, the zero Time if none waits.
	Claim(ctx context.Context, c Claim) ([]Task, time.Time, error)
	// Open returns the content unchecked, or ErrDamaged if it is missing.
	Open(ctx context.Context, id string) (Body, error)
	// Save records progress, which is durable on return.
	Save(ctx context.Context, ref Ref, p Progress, events ...Event) error
	// Finish ends the claim.
	Finish(ctx context.Context, ref Ref, o Outcome) error
	// PauseAs is Controller's Pause by a node that has learnt from a claim in a lane that a pause
	// is needed. It returns ErrFenced if the lane is no longer the node's, or has been
	// another's since.
	PauseAs(ctx context.Context, by LaneRef, lane Lane, until time.Time, why reason.Reason) error
	// Renew extends the node's lease and gives back what dead nodes had claimed, and claims of
	// its own that were lost. It returns ErrReplaced if another process goes on as the same relay.
	Renew(ctx context.Context, r Renewal) (Renewed, error)
	// Shared reports whether a node's claims are lost when its lease ends. Where they are not,
	// the node is alone.
	Shared() bool
	// Lost says that the worker of a claim has ended without a Finish.
	Lost(ref Ref)
	// Leave ends the lease.
	Leave(ctx context.Context, node string) error
	// Wake receives when new work may be there.
	Wake() <-chan struct{}
}

// Warnings finds messages whose senders are to be warned of a delay.
type Warnings interface {
	// Overdue returns messages that arrived before t and are waiting, unwarned and
	// certainly undelivered, at most 100. It leaves out those whose warning would have
	// to wait in a paused lane: in via, or in their own if via is the zero Lane.
	Overdue(ctx context.Context, t time.Time, via Lane) ([]Record, error)
	// MarkWarned records that the sender was warned, and queues the warning if there
	// is one. It returns ErrFenced if the message no longer waits or was warned of.
	MarkWarned(ctx context.Context, id string, warning *Submission, events ...Event) error
}

// Cleanups hands out the records of what ended messages may have left behind.
type Cleanups interface {
	// NextCleanup returns the first record with an ID greater than after, or
	// ErrNotFound. It may be worked on for CleanupTime, then it has to be read again.
	NextCleanup(ctx context.Context, after string) (Cleanup, error)
	// EndCleanup removes the record, but not a later one of the same message.
	EndCleanup(ctx context.Context, c Cleanup) error
}

// Returns finds and marks the messages that non-delivery reports are about.
type Returns interface {
	// ServedLanes returns the lanes from which a message was claimed since then.
	ServedLanes(ctx context.Context, since time.Time) ([]ServedLane, error)
	// Paused reports whether the lane, or all of its principal or connection, is paused.
	Paused(ctx context.Context, l Lane) (bool, error)
	// SetReportsRead records that the reports which came before then have been read.
	SetReportsRead(ctx context.Context, l Lane, until time.Time) error
	// LeftAs returns the messages that left a lane under this Message-ID, oldest first.
	LeftAs(ctx context.Context, l Lane, messageID string) ([]Record, error)
	// MarkReturned records what a report says of a message that has left, and queues the
	// notification of its sender. It returns ErrFenced if there is no such message, or if
	// one of the recipients was reported before.
	MarkReturned(ctx context.Context, id string, r Bounced) error
}

// Sends tells what has left. Its times are the queue's; see Clock.
type Sends interface {
	Now() time.Time
	// Sends calls each for every message that arrived since one time and left since the
	// other, in no order.
	Sends(ctx context.Context, arrived, left time.Time, each func(Send)) error
}

// Inspector reads the queue for people: its times are the wall clock's.
type Inspector interface {
	// List returns the records that f selects, by their IDs: the oldest first, or the newest.
	List(ctx context.Context, f Filter) ([]Record, error)
	// Search is List for somebody who waits: it ends after that time with what it has found.
	Search(ctx context.Context, f Filter, within time.Duration) (Found, error)
	// Count returns how many messages f selects, whatever its Limit.
	Count(ctx context.Context, f Filter) (int64, error)
	Get(ctx context.Context, id string) (Record, []Event, error)
	Open(ctx context.Context, id string) (Body, error)
	// Receipts calls each for every message received since then, in no order.
	Receipts(ctx context.Context, since time.Time, each func(Receipt)) error
	Stats(ctx context.Context) (Stats, error)
	// Lanes returns the lanes that have messages or a pause, by name.
	Lanes(ctx context.Context) ([]LaneStatus, error)
	// Audits returns the newest records of what operators did, oldest first.
	Audits(ctx context.Context, limit int) ([]Audit, error)
	// Nodes returns the nodes, by name.
	Nodes(ctx context.Context) ([]NodeStatus, error)
}

// Controller carries out what an operator or a setting asks for.
type Controller interface {
	// Apply carries out an operator's action. It raises the fence, so that a worker
	// that has the message cannot go on to send it.
	Apply(ctx context.Context, id string, a Action, by string) error
	// ApplyAll carries out an action on the messages that f selects, oldest first and not
	// more than f.Limit unless it is 0, a commit for some of them at a time. It passes over
	// those for which the action is not possible. It returns how many were changed, also with
	// an error. f.Before keeps it from messages that come meanwhile.
	ApplyAll(ctx context.Context, f Filter, a Action, by string) (changed int, err error)
	// Resend queues the content of a message that is held, or has failed, or was sent and still has
	// its content, as another message to these recipients, and returns its queue ID. The first
	// message loses its content, and if it was held, it ends as deleted: no more than one of the two
	// can go out. It returns ErrState for any other message.
	Resend(ctx context.Context, id string, to []string, by string) (again string, err error)
	// Pause stops claims until then from the lanes that lane covers: one, or all of a
	// principal, or all of a connection. An earlier end does not shorten a pause. Now returns
	// the time from which its end counts, and Wall what the wall clock shows then.
	Now() time.Time
	Wall(t time.Time) time.Time
	Pause(ctx context.Context, lane Lane, until time.Time, why reason.Reason) error
	// Resume ends a pause, and with it the wait of the messages that it deferred;
	// ErrNotFound if there is none.
	Resume(ctx context.Context, lane Lane) error
	// Restored records, after the queue was restored from a backup, that each message which waits
	// may have been delivered since. It sets Progress.InDoubt, of which the deliverer's document
	// then knows nothing, and returns how many messages these are. It returns ErrAtWork if a
	// node has a lease.
	Restored(ctx context.Context, by string) (int, error)
	// Drain has the nodes of a name take no more lanes, or ends that. It returns ErrNotFound if
	// there is none, and ErrNotShared if the queue is one node's alone.
	Drain(ctx context.Context, name string, drain bool) error
	// SetAudit records what an operator does, in the place of an earlier record with its ID.
	// The actions do not do so themselves.
	SetAudit(ctx context.Context, a Audit) error
	// Expire removes ended messages beyond r and returns how many it removed.
	Expire(ctx context.Context, r Retention) (int, error)
}
