package queue

import (
	"encoding/json"
	"time"

	"graphrelay/relay/reason"
)

// State is the state of a message: it is Queued, Deferred or Held until it ends as
// Sent or Failed; while a node works on it, it is Delivering. A Sent message becomes
// Returned if a non-delivery report comes for one of its recipients. What an operator
// deletes is Deleted: only its record is kept, for a while.
type State string

// The states of a message.
const (
	Queued     State = "queued"
	Delivering State = "delivering"
	Deferred   State = "deferred"
	Held       State = "held"
	Sent       State = "sent"
	Returned   State = "returned"
	Failed     State = "failed"
	Deleted    State = "deleted"
)

// States lists every state, in the order of a message's life.
func States() []State {
	return []State{Queued, Delivering, Deferred, Held, Sent, Returned, Failed, Deleted}
}

// Left reports whether a message in this state has left the relay for good: it was sent,
// whatever became of it then.
func (s State) Left() bool { return s == Sent || s == Returned }

// ended reports whether nothing more is done with a message in this state.
func (s State) ended() bool { return s.Left() || s == Failed || s == Deleted }

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
	Return     string                  `json:"ret,omitempty" doc:"RET, section 4.3: FULL or HDRS."`
	EnvelopeID string                  `json:"envid,omitempty" doc:"ENVID, section 4.4, decoded."`
	Recipients map[string]RecipientDSN `json:"recipients,omitempty" doc:"What was asked for single recipients, by their addresses."`
}

// RecipientDSN is what the client asked for one recipient, named as in Envelope.To.
type RecipientDSN struct {
	Notify   []string `json:"notify,omitempty" doc:"NOTIFY, section 4.1: NEVER, or of SUCCESS, FAILURE and DELAY."`
	Original string   `json:"orcpt,omitempty" doc:"ORCPT, section 4.2: type;address, the address decoded."`
}

// Entry is what is known of a message when it is accepted.
type Entry struct {
	Envelope  Envelope
	Lane      Lane
	From      string // the address that is shown as From; empty: the header's own
	Sender    string // the address that sends on behalf of From: a sender rule's, or the Sender field's where the client may use it
	ReplyTo   string // added as Reply-To where the message has none
	Fallback  string // the address that is shown as From where Exchange refuses the message's; empty: then it fails
	Signature string // the name of the signature to add, or empty
	Subject   string
	MessageID string
	Listener  string
	User      string    // empty when the client did not authenticate
	Client    string    // IP address
	Trace     int64     // bytes in front of the message that the relay added to it
	Reception Reception `json:",omitzero"` // Get alone returns it
	// Wait is how long the client's session waits for the first attempt, in a queue that is
	// shared (see Verdicts). It is not stored with the message.
	Wait time.Duration `json:",omitempty"`
}

// Progress is what a worker has recorded about a message: a document of its own, which
// the queue keeps and does not read, and the facts that the queue acts on. The document
// may hold secrets; never log it.
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
	At        time.Time `json:"at" doc:"When it happened."`
	What      string    `json:"what" doc:"What happened."`
	Detail    string    `json:"detail,omitempty" doc:"More about it."`
	RequestID string    `json:"request_id,omitempty" doc:"Graph's request-id, which Microsoft's support asks for."`
	// Took is how long that request took until its answer came.
	Took time.Duration `json:"took_ns,omitempty" doc:"How many nanoseconds that request took until its answer came."`
}

// Record is a message as the queue keeps it.
type Record struct {
	ID       string
	Received time.Time // by the wall clock, for people and for comparison with others' times
	Arrived  time.Time // by the queue's clock, for its age
	Size     int64     // bytes as stored
	Entry
	Status
	// PausedUntil is the end of the pauses that keep the message waiting, the zero Time if
	// there is none. List and Get alone return it.
	PausedUntil time.Time `json:"-"`
}

// Status is the part of a record that changes.
type Status struct {
	State    State
	Due      time.Time     // when a queued or deferred message is to be tried; when any other ended
	Reason   reason.Reason // or empty
	Detail   string
	Attempts int
	Warned   bool // the sender was told of the delay, or is not to be
	Finished time.Time
	Progress Progress
	Returns  []Return `json:",omitempty"` // by recipient, in the order in which they came

	// For the queue itself.
	Node       string // that has claimed the message
	Fence      int64  // counts up with each claim and each action of an operator
	StartTag   int64  // the order among the queued messages of its lane
	HasContent bool
	Unreadable bool `json:"-"` // a part of the stored record cannot be read
}

// Return is what a non-delivery report says of one recipient. Its texts come from outside.
type Return struct {
	Recipient  string    `json:"recipient" doc:"The recipient, as in the envelope."`
	At         time.Time `json:"at" doc:"When the report came."`
	Code       string    `json:"code,omitempty" doc:"The enhanced status code (RFC 3463)."`
	Diagnostic string    `json:"diagnostic,omitempty" doc:"The answer that the report quotes."`
	Report     string    `json:"report" doc:"The ID of the report in the mailbox."`
}

// Send is what counts of a message that has left against the limits of its mailbox.
type Send struct {
	Lane Lane
	At   time.Time // by the queue's clock
	To   []string
}

// Receipt is what counts of a message against its client's rates.
type Receipt struct {
	Received   time.Time
	Sender     string // of the envelope
	From       string // From, ReplyTo, User and Client as in Entry
	ReplyTo    string
	User       string
	Client     string
	Recipients int
}

// Ref names a claim: the message, the fence under which it was claimed, and the node that has
// claimed it. A fence alone might come to be given twice, where a standby that has not heard of
// the last moments takes over from the database.
type Ref struct {
	ID    string
	Fence int64
	Node  string
}

// LaneRef names the time during which a lane is a node's: the epoch under which it became the
// node's is its fencing token. The zero LaneRef is that of a queue that is not shared.
type LaneRef struct {
	Lane  Lane
	Epoch int64
	Node  string
}

// Task is a claimed message.
type Task struct {
	Record
	Ref Ref
	// Tenure is under which the node has the lane.
	Tenure LaneRef
	// Taken: the lane has just become the node's. Carry then is what the node before it has
	// spent of the mailbox's limits, as that one's Renewal said it.
	Taken bool
	Carry string
}

// Outcome ends a claim.
type Outcome struct {
	State   State // Sent, Deferred, Held, Failed; Queued gives it back untouched
	Due     time.Time
	Reason  reason.Reason
	Detail  string
	Uncount bool // the attempt does not count
	Discard bool // the content of a failed message is removed: its client still has it
	// Keep: the content of a message that was sent is kept for a while, as some recipient may
	// turn out not to have got it.
	Keep     bool
	Progress Progress
	Events   []Event
	// Cleanup: the message ended and may have left something behind, which the commit
	// that ends the claim records for NextCleanup.
	Cleanup bool
	// Notifications are messages of the relay's own about this one. They are queued in the
	// commit that ends the claim: with it or not at all.
	Notifications []*Submission
	// Refusal is what the client can be told instead of the notifications, if its session
	// still waits. Verdicts returns it there.
	Refusal string
}

// Submission is a small message of the relay's own, whole in memory.
type Submission struct {
	ID string // from NewID
	Entry
	Body   []byte
	Events []Event
}

// Cleanup is a record of what an ended or deleted message may have left behind.
type Cleanup struct {
	Record
	Since time.Time
	Age   time.Duration `json:"-"` // since then, when it was read
}

// CleanupTime is how long a cleanup may be worked on after it was read. A retry of the
// message ends its cleanup and makes the message wait for twice as long, so that
// nothing the retry makes is removed by a cleanup still at work.
const CleanupTime = time.Minute

// Filter selects records; zero fields select everything. Texts are compared
// without regard to case.
type Filter struct {
	States  []State
	ID      string // a queue ID, or how it begins
	From    string // in the envelope's sender
	To      string // in a recipient of the envelope
	Lane    string // as Lane.String returns it; without a mailbox, all of that connection and principal
	Reasons []reason.Reason
	User    string // the whole name
	Client  string // in the client's IP address
	Subject string // in the subject
	// Text is in the queue ID, the Message-ID, the envelope's sender or the address in From, a
	// recipient of the envelope, or the subject.
	Text       string
	Since      time.Time // received then or later
	Before     time.Time // received before
	HasContent bool      // only messages whose content is kept
	// MessageID is the whole Message-ID of the message itself; case matters.
	MessageID string

	Newest bool   // the list begins with the newest
	After  string // the ID after which the list goes on: the next messages of a long one
	Limit  int    // 0: 1,000
}

// Action is what an operator may do with a message.
type Action string

// The actions of an operator.
const (
	Hold    Action = "hold"    // queued, deferred or delivering -> held
	Release Action = "release" // held -> queued
	Retry   Action = "retry"   // deferred, held or failed -> queued now, one with a cleanup a little later; ends the pauses of its lane that no operator asked for
	Delete  Action = "delete"  // anything but delivering -> deleted; the record remains
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

// ServedLane is a lane from which messages were claimed.
type ServedLane struct {
	Lane
	Owner       string    // the node that has it, in a queue that is shared
	Served      time.Time // the last claim
	ReportsRead time.Time // non-delivery reports that came before then were read; zero: none
}

// Forever is the end of a pause without an end.
var Forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Retention bounds what is kept of messages that have ended.
type Retention struct {
	Sent         time.Duration // the delivery log, and the records of deleted messages, by age
	SentMessages int64         // and by count, of each
	Failed       time.Duration // failed messages, with their content, and returned ones
	// FailedMessages and FailedBytes bound what is kept of failed messages; 0 sets no bound.
	// The oldest ones go first.
	FailedMessages int64
	FailedBytes    int64
	// SentContent is how long content is kept (Outcome.Keep) after it was sent, unless the message
	// is returned: then it goes with the record. LeftBytes bounds the content of both; 0 sets no
	// bound. The oldest goes first, and that of returned messages last. While less than twice
	// FreeSpace is free on the disk, no content is kept but that of returned messages.
	SentContent time.Duration
	LeftBytes   int64
	FreeSpace   int64
}

// Stats counts the queue.
type Stats struct {
	Messages    map[State]int64
	Bytes       int64     // of messages that have not left
	FailedBytes int64     // of those, of failed ones
	Oldest      time.Time // receipt of the oldest message that is queued, deferred, delivering or held
}
