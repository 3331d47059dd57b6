package queue

import (
	"cmp"
	"context"
	"io"
	"time"

	"graphrelay/relay/reason"
)

// Storage is what an engine provides: transactions made of small steps, reads beside
// them, and the bytes of the messages. It decides nothing about a message. Queuetest
// holds the tests that every engine passes.
type Storage interface {
	Reader
	Finder
	Contents
	// Update runs fn in a transaction and returns once its effects are durable, whether
	// or not ctx is done by then. If fn returns an error, nothing of it remains, and Update
	// returns that error. Update may combine concurrent transactions into one commit and so
	// run fn more than once: fn changes nothing but tx and its own results. An ErrFenced,
	// ErrNotFound or ErrState should come before the first change: it then costs the other
	// transactions of the commit nothing.
	Update(ctx context.Context, fn func(Tx) error) error
	// Healthy returns nil while the storage can take mail.
	Healthy() error
	Close() error
}

// Reader reads the queue. Its methods are those of Inspector and Sends.
type Reader interface {
	List(ctx context.Context, f Filter) ([]Record, error)
	Search(ctx context.Context, f Filter, within time.Duration) (Found, error)
	Count(ctx context.Context, f Filter) (int64, error)
	Get(ctx context.Context, id string) (Record, []Event, error)
	Open(ctx context.Context, id string) (Body, error)
	Receipts(ctx context.Context, since time.Time, each func(Receipt)) error
	Sends(ctx context.Context, arrived, left time.Time, each func(Send)) error
	Stats(ctx context.Context) (Stats, error)
	Lanes(ctx context.Context, now time.Time) ([]LaneStatus, error)
	Audits(ctx context.Context, limit int) ([]Audit, error)
	Nodes(ctx context.Context) ([]NodeStatus, error)
	Closed(ctx context.Context) (Closed, error)
}

// Contents keeps the bytes of messages, by ID.
type Contents interface {
	// NewContent begins the content of a message.
	NewContent(id string) Content
	// ContentOf returns a content that exists in the transaction that inserts it alone.
	ContentOf(id string, body []byte) Content
	// Space returns the bytes that may still be written to the disk, and its size.
	Space() (free, size int64, err error)
}

// Content is the content of a message that is not in the queue yet.
type Content interface {
	io.Writer
	Size() int64
	// View calls do with what was written so far, and returns its error.
	View(do func(message io.ReaderAt) error) error
	// Sync makes durable what will not be part of the transaction.
	Sync() error
	// Discard leaves nothing behind.
	Discard() error
}

// Finder finds messages to act on. What it returns may have changed by the time of the
// transaction that acts.
type Finder interface {
	// NextDue returns when the first message falls due in a lane that is not paused then,
	// the zero Time if none waits. Of an engine that is shared, other nodes' lanes do not
	// count.
	NextDue(ctx context.Context, node string) (time.Time, error)
	// Unwarned returns messages that are queued or deferred, not warned of and not in
	// doubt, and arrived up to the time before; the oldest ones if they are more than
	// limit. With unpaused, it leaves out those in lanes that are paused at now.
	Unwarned(ctx context.Context, before, now time.Time, unpaused bool, limit int) ([]Record, error)
	// Paused reports whether the lane, or all of its principal or connection, is paused
	// at now.
	Paused(ctx context.Context, l Lane, now time.Time) (bool, error)
	// NextCleanup returns the first cleanup with an ID greater than after, or ErrNotFound.
	NextCleanup(ctx context.Context, after string) (Cleanup, error)
	// Ended returns the IDs of messages in the given state that arrived, and if finished
	// also ended, up to the time before: the oldest ones, at most limit.
	Ended(ctx context.Context, s State, before time.Time, finished bool, limit int) ([]string, error)
	// ServedLanes returns the lanes that were served since then.
	ServedLanes(ctx context.Context, since time.Time) ([]ServedLane, error)
	// LeftAs returns the messages that are Sent or Returned in a lane and have this
	// Message-ID: the oldest ones, at most limit.
	LeftAs(ctx context.Context, l Lane, messageID string, limit int) ([]Record, error)
	// Usage returns what each client has waiting or held in each lane.
	Usage(ctx context.Context) ([]Usage, error)
	// FailedBeyond is EndedBeyond for failed messages, of which the newest ones with together
	// so many bytes are kept; 0 stands for any number.
	FailedBeyond(ctx context.Context, keep, bytes int64) (time.Time, error)
	// LeftContents returns the IDs of messages that are Sent or Returned and have content which is
	// to go: that of Sent ones which left up to the time before, and of both what is beyond so many
	// bytes (0: any number). The newest are kept, and Returned ones rather than Sent ones.
	LeftContents(ctx context.Context, before time.Time, bytes int64, limit int) ([]string, error)
	// EndedBeyond returns when the newest message in the given state arrived that is not
	// among the keep newest ones; the zero Time if there is none.
	EndedBeyond(ctx context.Context, s State, keep int64) (time.Time, error)
}

// Tx is a transaction. What it has read does not change until it ends: in an engine with
// several writers, reading locks.
type Tx interface {
	MessageTx
	LaneTx
	PauseTx
	UpkeepTx
}

// MessageTx reads and writes messages. Its methods return ErrNotFound if there is no such
// message.
type MessageTx interface {
	// Insert adds a message to a lane. It fails if the ID is taken.
	Insert(r Record, lane LaneID, c Content) error
	Record(id string) (Record, error)
	Status(id string) (Status, error)
	// SetStatus stores s. If s.HasContent is false, the content is removed.
	SetStatus(id string, s Status) error
	// SaveProgress stores p if the message is Delivering under the fence of ref by its node,
	// and returns ErrFenced otherwise.
	SaveProgress(ref Ref, p Progress) error
	// AddEvents appends to the history of the message.
	AddEvents(id string, events ...Event) error
	// Remove removes the message with its content and history.
	Remove(id string) error
}

// LaneID is a storage's key of a lane.
type LaneID int64

// LaneTx reads and writes lanes, and the order of their messages.
type LaneTx interface {
	// Flow returns what decides the place of a new message in its lane, which it creates
	// if need be.
	Flow(l Lane, sender, client string) (Flow, error)
	// SetTag records the start tag of the latest message of a source: a sender or client.
	SetTag(lane LaneID, source string, tag int64) error
	// DropTags removes at most limit tags that are lower than the virtual time of their
	// lane, and returns how many it removed.
	DropTags(limit int) (int, error)
	// ReadyLanes calls each for the lanes that have a message due and are not paused at now,
	// until it returns false. Those that have waited longest come first, and those up to the
	// turn after are left out. In an engine that is shared these are lanes of the node, and
	// nobody's, without those that another transaction has locked, and none if the node has no
	// lease; it bounds their number itself, and takes no notice of after.
	ReadyLanes(now time.Time, node string, after Turn, each func(ReadyLane) bool) error
	// NextQueued returns the queued message of a lane with the lowest start tag, and
	// NextDeferred the one deferred message, of those due at now, that fell due first. With
	// several writers they pass over messages that another transaction has locked.
	NextQueued(lane LaneID) (Record, error)
	NextDeferred(lane LaneID, now time.Time) (Record, error)
	// Served records a claim from a lane: when it was, whether a deferred message comes
	// next, and the start tag of the claimed one, to which its virtual time rises.
	Served(lane LaneID, now time.Time, deferredNext bool, tag int64) error
	// SetReportsRead records until when the non-delivery reports of a lane were read.
	SetReportsRead(l Lane, until time.Time) error
}

// Flow is what decides the place of a new message in its lane.
type Flow struct {
	Lane        LaneID
	VirtualTime int64
	Sender      int64 // start tag of the sender's latest message, -1 if there is none
	Client      int64 // likewise, of all of its client's senders
	Closed      bool  // the queue is; see Closed. Only a storage that is shared says so: a relay has any other for itself
}

// Turn is the place of a lane in the order in which lanes are claimed from.
type Turn struct {
	At   int64 // since when it waits, in the engine's unit
	Lane LaneID
}

// Compare compares two turns; the earlier one is less.
func (t Turn) Compare(o Turn) int {
	return cmp.Or(cmp.Compare(t.At, o.At), cmp.Compare(t.Lane, o.Lane))
}

// ReadyLane is a lane that has a message due.
type ReadyLane struct {
	Turn         Turn
	ID           LaneID
	Lane         Lane
	InDelivery   int   // its messages that are being delivered
	DeferredNext bool  // a deferred message comes next
	Owned        bool  // it is the node's, not nobody's; always so in an engine that is not shared
	Epoch        int64 // of an engine that is shared
}

// PauseTx reads and writes pauses.
type PauseTx interface {
	// ExtendPause pauses a lane until then, unless it is paused for longer already.
	ExtendPause(l Lane, until time.Time, why reason.Reason) error
	// Pause returns the reason of the pause of exactly this lane, or ErrNotFound if it is
	// not paused at now.
	Pause(l Lane, now time.Time) (reason.Reason, error)
	// EndPause ends the pause of exactly this lane.
	EndPause(l Lane) error
	// EndPauses ends the pauses that apply to a lane, except those for the reason keep.
	EndPauses(l Lane, keep reason.Reason) error
	// EndDeferral makes the messages due that were deferred for a reason in the lane, or in
	// all lanes of its connection and principal if it has no mailbox.
	EndDeferral(l Lane, why reason.Reason, now time.Time) error
}

// UpkeepTx keeps the leases of nodes and the cleanups.
type UpkeepTx interface {
	// SetNode adds a node or changes what is known of it, but not whether it is draining.
	SetNode(n Node) error
	// SetDraining does that, for all of a name. It returns ErrNotFound if there is none.
	SetDraining(name string, draining bool) error
	// EndNode removes a node, if it is known.
	EndNode(id string) error
	Nodes() ([]Node, error)
	// SetClosed closes the queue, or opens it if c is zero.
	SetClosed(c Closed) error
	Closed() (Closed, error)
	// SetClock keeps the reading for the next process.
	SetClock(r Reading) error
	// EndAhead makes the deferred messages due that are due later than due, and ends the
	// pauses that have passed at now, or that last longer than pause and are not for the
	// reason keep.
	EndAhead(now, pause, due time.Time, keep reason.Reason) error
	// Abandoned returns the messages that are Delivering by a node without a lease at now.
	Abandoned(now time.Time) ([]string, error)
	// Claimed returns the claims of a node: those that this transaction may end, and those of
	// messages that another one has locked.
	Claimed(node string) (free, locked []Ref, err error)
	AddCleanup(c Cleanup) error
	// RemoveCleanup reports whether there was one.
	RemoveCleanup(id string) (bool, error)
	// EndCleanup removes the cleanup that was added with this Since, if it is still there.
	EndCleanup(id string, since time.Time) error
	// SetAudit adds an audit, or replaces the one with its ID.
	SetAudit(a Audit) error
	// DropAudits removes all but the newest ones.
	DropAudits(keep int) error
	// Shrink gives back some of the space that removed messages took.
	Shrink() error
}
