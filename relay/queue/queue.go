// Package queue says what a durable mail queue promises; queue/sqlite keeps the
// promise on one machine.
//
// A message that was committed survives a power cut: its bytes and its record
// are on disk before Commit returns. A claimed message carries a fence; whoever
// writes with an older fence is refused, so that a worker that lost its claim
// can never finish, nor send, in another's name. The package knows nothing of
// SMTP sessions, of MIME or of Graph.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"graphrelay/relay/reason"
)

// The errors that callers tell apart; every other error is a fault of the store.
var (
	ErrNotFound = errors.New("no such message")
	ErrFenced   = errors.New("the message was claimed or changed by somebody else")
	ErrNoSpace  = errors.New("no space left for the queue")
	ErrFull     = errors.New("the queue holds as much as it may")
	ErrDisk     = errors.New("the queue's disk failed")
	ErrDamaged  = errors.New("the stored message is damaged")
	ErrClosed   = errors.New("the queue is closed")
	ErrState    = errors.New("not possible in the message's present state")
)

// State of a message. A message is Queued, Deferred or Held until it ends as
// Sent or Failed; while a node works on it, it is Delivering.
type State string

// The states of a message.
const (
	Queued     State = "queued"
	Delivering State = "delivering"
	Deferred   State = "deferred"
	Held       State = "held"
	Sent       State = "sent"
	Failed     State = "failed"
)

// States lists every state, in the order of a message's life.
func States() []State { return []State{Queued, Delivering, Deferred, Held, Sent, Failed} }

// Envelope is MAIL FROM and RCPT TO (RFC 5321 section 2.3.1). From is empty for
// the null reverse-path.
type Envelope struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	UTF8 bool     `json:"utf8,omitempty"` // SMTPUTF8 was asked for (RFC 6531)
	DSN  DSN      `json:"dsn,omitzero"`
}

// DSN is what the client asked about delivery status notifications (RFC 3461).
// The zero value asks for nothing in particular.
type DSN struct {
	Return     string                  `json:"ret,omitempty"`   // RET, section 4.3: FULL or HDRS
	EnvelopeID string                  `json:"envid,omitempty"` // ENVID, section 4.4, decoded
	Recipients map[string]RecipientDSN `json:"recipients,omitempty"`
}

// RecipientDSN is what the client asked for one recipient, named as in Envelope.To.
type RecipientDSN struct {
	Notify   []string `json:"notify,omitempty"` // NOTIFY, section 4.1: NEVER, or of SUCCESS, FAILURE and DELAY
	Original string   `json:"orcpt,omitempty"`  // ORCPT, section 4.2: "type;address", the address decoded
}

// Lane is one mailbox of one connection: the stream of deliveries that shares
// Graph's limits for that pair.
type Lane struct {
	Connection string `json:"connection"`
	// Principal is the sign-in name, in lower case, of a client whose own credential is
	// used; it is empty where the connection has the credential.
	Principal string `json:"principal,omitempty"`
	Mailbox   string `json:"mailbox"`
}

// principalMark is not allowed in the name of a connection.
const principalMark = "+"

// String returns "connection/mailbox", or "connection+principal/mailbox". Without a
// mailbox it is "connection", or "connection+principal".
func (l Lane) String() string {
	s := l.Connection
	if l.Principal != "" {
		s += principalMark + l.Principal
	}
	if l.Mailbox != "" {
		s += "/" + l.Mailbox
	}
	return s
}

// ParseLane reads what Lane.String returns.
func ParseLane(s string) Lane {
	s, mailbox, _ := strings.Cut(s, "/")
	connection, principal, _ := strings.Cut(s, principalMark)
	return Lane{Connection: connection, Principal: principal, Mailbox: mailbox}
}

// Whole returns the lane that stands for all of the same connection and principal.
func (l Lane) Whole() Lane { return Lane{Connection: l.Connection, Principal: l.Principal} }

// Entry is what is known of a message when it is accepted.
type Entry struct {
	Envelope  Envelope
	Lane      Lane
	From      string // the address that is shown as From; empty: the header's own
	Sender    string // who sends on behalf of From: by a sender rule, or the Sender field's address, where the client may use it
	ReplyTo   string // added as Reply-To where the message has none
	Signature string // the name of the signature that it is to get, or empty
	Subject   string
	MessageID string
	Listener  string
	User      string // empty when the client did not authenticate
	Client    string // IP address
	Trace     int64  // bytes in front of the message that the relay added to it
}

// Progress is what a worker has recorded about a message: a document of its own, which
// the queue keeps and does not read, and the facts that the queue acts on.
type Progress struct {
	Document json.RawMessage `json:",omitempty"`
	// Leftover: the worker may have left something outside that has to be cleaned up if
	// the message is deleted. Each claim sets it durably, and a Save or Finish can clear
	// it again; a claimed Task has it as it was before the claim.
	Leftover bool
	// InDoubt: the message may have been delivered, so it is not reported as delayed.
	InDoubt bool
}

// Event is one line of a message's history.
type Event struct {
	At        time.Time `json:"at"`
	What      string    `json:"what"`
	Detail    string    `json:"detail,omitempty"`
	RequestID string    `json:"request_id,omitempty"` // Graph's request-id
}

// Record is a message as the queue keeps it.
type Record struct {
	ID       string
	Received time.Time
	Size     int64 // bytes as stored
	Entry
	State    State
	Due      time.Time     // when a queued or deferred message is to be tried
	Reason   reason.Reason // or empty
	Detail   string
	Attempts int
	Warned   bool // the sender was told of the delay, or is not to be
	Finished time.Time
	Progress Progress
}

// Receipt is what of a message is counted against its client's rates.
type Receipt struct {
	Received   time.Time
	Sender     string // of the envelope
	From       string // From, ReplyTo, User and Client as in Entry
	ReplyTo    string
	User       string
	Client     string
	Recipients int
}

// Ref names a claim: the message and the fence under which it was claimed.
type Ref struct {
	ID    string
	Fence int64
}

// Task is a claimed message.
type Task struct {
	Record
	Ref Ref
}

// Outcome ends a claim.
type Outcome struct {
	State    State // Sent, Deferred, Held, Failed; Queued gives it back untouched
	Due      time.Time
	Reason   reason.Reason
	Detail   string
	Uncount  bool // the try does not count as an attempt
	Discard  bool // the content of a failed message goes: its client keeps it
	Progress Progress
	Events   []Event
	// Cleanup: the message ended and may have left something behind, which the commit
	// that ends the claim records for NextCleanup.
	Cleanup bool
	// Notification is a message that the relay itself has to say about this one. It is
	// queued in the commit that ends the claim: with it or not at all.
	Notification *Submission
}

// Submission is a small message of the relay's own, whole in memory.
type Submission struct {
	ID string // from NewID
	Entry
	Body   []byte
	Events []Event
}

// Writer takes the bytes of one message. Nothing of it is visible until Commit.
type Writer interface {
	io.Writer
	// ID is the queue ID that the message will have.
	ID() string
	// Commit returns when bytes and entry are durable; ErrNoSpace when the disk is full.
	// After an error the message is not in the queue.
	Commit(ctx context.Context, e Entry) error
	// Abort leaves nothing behind. It does nothing after Commit.
	Abort() error
}

// Body is the stored message. It must be closed.
type Body interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// Check reads all of it: ErrDamaged, if it or the envelope in the record is not
	// what was accepted.
	Check() error
}

// Limits bounds what the queue takes; a zero field bounds nothing. What the disk has no
// room for is never taken.
type Limits struct {
	Messages  int64 // that are not sent
	Bytes     int64 // of those
	FreeSpace int64 // bytes that stay free on the disk, at most a tenth of it
}

// Intake accepts messages.
type Intake interface {
	Create(ctx context.Context) (Writer, error)
	// CheckCapacity returns ErrFull or ErrNoSpace if a message of size bytes must not be
	// taken. Sessions that check at the same time may together exceed the limits by
	// what they bring.
	CheckCapacity(ctx context.Context, size int64, l Limits) error
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
}

// Work hands out messages for delivery. Save and Finish return ErrFenced when the
// claim is no longer the caller's.
type Work interface {
	// Claim takes messages that are due and marks them Delivering, with one more
	// attempt. Lanes with the fewest messages in delivery come first, and among equals
	// the one that waited longest. Within a lane new and deferred messages alternate,
	// and new ones are shared out among their senders (see docs/queue.md).
	// Claim also returns when the next message falls due, the zero Time if none waits.
	Claim(ctx context.Context, c Claim) ([]Task, time.Time, error)
	// Open returns the content unchecked; ErrDamaged if there is none.
	Open(ctx context.Context, id string) (Body, error)
	// Save records progress; it is durable on return.
	Save(ctx context.Context, ref Ref, p Progress, events ...Event) error
	Finish(ctx context.Context, ref Ref, o Outcome) error
	// Pause stops claims from a lane until then, or from all lanes of its connection and
	// principal when lane.Mailbox is empty. An earlier end does not shorten a pause.
	Pause(ctx context.Context, lane Lane, until time.Time, why reason.Reason) error
	// Renew extends the node's lease and gives back what dead nodes had claimed. It
	// returns how many messages that were.
	Renew(ctx context.Context, node string, lease time.Duration) (int, error)
	// Wake receives when new work may be there.
	Wake() <-chan struct{}
}

// Warnings finds messages whose senders are to be warned of a delay.
type Warnings interface {
	// Overdue returns messages received before t that are waiting, unwarned and
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
	// EndCleanup removes the record.
	EndCleanup(ctx context.Context, id string) error
}

// Cleanup is a record of what an ended or deleted message may have left behind.
type Cleanup struct {
	Record
	Since time.Time
}

// CleanupTime is how long a cleanup may be worked on after it was read. A retry of the
// message ends its cleanup and makes the message wait for twice as long, so that
// nothing the retry makes is removed by a cleanup still at work.
const CleanupTime = time.Minute

// Filter selects records; zero fields select everything. Texts are compared
// without regard to case, From and To as a part of the address.
type Filter struct {
	States []State
	From   string // in the envelope's sender
	To     string // in a recipient of the envelope
	Lane   string // as Lane.String returns it; without a mailbox, all of that connection and principal
	Reason reason.Reason
	Before time.Time // received before
	Limit  int       // 0: 1,000
}

// Action is what an operator may do with a message.
type Action string

// The actions of an operator.
const (
	Hold    Action = "hold"    // queued, deferred or delivering -> held
	Release Action = "release" // held -> queued
	Retry   Action = "retry"   // deferred, held or failed -> queued now, one with a cleanup a little later; ends the pauses of its lane that no operator asked for
	Delete  Action = "delete"  // anything but delivering; nothing remains
)

// LaneStatus is a lane as an operator sees it. A pause of all lanes of a connection is
// shown as a lane without a mailbox.
type LaneStatus struct {
	Lane
	Messages    map[State]int64 // that have not ended
	Oldest      time.Time       // receipt of the oldest of them
	PausedUntil time.Time       // zero: not paused
	PausedFor   reason.Reason
}

// Forever is the end of a pause that somebody has to end.
var Forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Retention says what is kept of messages that have ended, as long as their count
// and age stay within it.
type Retention struct {
	Sent         time.Duration // the delivery log, by age
	SentMessages int64         // and by count
	Failed       time.Duration // failed messages, with their content
}

// Stats counts the queue.
type Stats struct {
	Messages map[State]int64
	Bytes    int64     // of messages that are not sent
	Oldest   time.Time // receipt of the oldest message that is queued, deferred, delivering or held
}

// Inspector reads the queue.
type Inspector interface {
	// List returns the records that f selects, oldest first.
	List(ctx context.Context, f Filter) ([]Record, error)
	Get(ctx context.Context, id string) (Record, []Event, error)
	Open(ctx context.Context, id string) (Body, error)
	// Receipts calls each for every message received since then, in no order.
	Receipts(ctx context.Context, since time.Time, each func(Receipt)) error
	Stats(ctx context.Context) (Stats, error)
	// Lanes returns the lanes that have messages or a pause, by name.
	Lanes(ctx context.Context) ([]LaneStatus, error)
}

// Controller carries out what an operator or a setting asks for.
type Controller interface {
	// Apply carries out an operator's action. It raises the fence, so that a worker
	// that has the message cannot go on to send it.
	Apply(ctx context.Context, id string, a Action, by string) error
	// Pause is the same as Work's.
	Pause(ctx context.Context, lane Lane, until time.Time, why reason.Reason) error
	// Resume ends a pause, and with it the wait of the messages that it deferred;
	// ErrNotFound if there is none.
	Resume(ctx context.Context, lane Lane) error
	// Expire removes ended messages beyond r and returns how many it removed.
	Expire(ctx context.Context, r Retention) (int, error)
}

// Store is a queue engine.
type Store interface {
	Intake
	Work
	Warnings
	Cleanups
	Inspector
	Controller
	// Healthy is nil while the store can take mail.
	Healthy() error
	Close() error
}
