package delivery

import (
	"context"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Outlet is a way out for messages, such as Microsoft Graph. It owns the steps by which a
// message is sent, what their answers mean, and the document in Attempt.Progress from
// which another attempt continues. The Deliverer owns everything else: what is tried when,
// how long, and what becomes of a message in the end. An outlet can itself choose among
// others by the lane of the message.
//
// An outlet never sends a message twice: it records a step with an effect outside before
// it requests it, and resolves an answer that was lost by looking, not by repeating.
type Outlet interface {
	// Needs returns how many bytes of memory Send takes for the message at most, until it says
	// otherwise by Attempt.Holds.
	Needs(m queue.Record) int64
	// Send continues the message from its progress until it is sent or cannot be sent
	// now. An error means that this side ended the attempt: ctx is done, the claim was
	// lost, or the queue could not be read or written. The Result's Doubt is valid in
	// any case.
	Send(ctx context.Context, a *Attempt) (Result, error)
	// Abandon removes what was made for a message that has failed. If that shows that
	// the message was sent all the same, it returns when to call Send again to confirm
	// it, and otherwise the zero Time.
	Abandon(ctx context.Context, a *Attempt) (again time.Time)
	// Cleanup removes what an ended or deleted message may have left behind. It reports
	// whether nothing more can be done.
	Cleanup(ctx context.Context, c queue.Cleanup) (done bool, err error)
}

// Status is how an attempt ended.
type Status int

// The ends of an attempt.
const (
	StatusSent    Status = iota + 1
	StatusPending        // it is not known yet whether the message was sent
	StatusRefused        // the message can never be sent as it is
	StatusHold           // an operator has to decide
	StatusRetry          // the message may be sent later
)

// Result is what an attempt came to.
type Result struct {
	Status     Status
	Path       string        // how the message was sent, for the log and the metrics
	Reason     reason.Reason // unless it was sent
	Detail     string        // the same for an administrator
	Diagnostic string        // the refusal of the service behind the outlet, for the bounce; may be empty
	Until      time.Time     // StatusPending: when to look again
	Pause      Pause         // StatusRetry: what else has to wait
	Wait       time.Duration // StatusRetry with a Pause: how long
	Blameless  bool          // StatusRetry: the attempt does not count, as the message is not at fault
	Doubt      Doubt
	// Refused are the recipients that the message, although StatusSent, was not sent to.
	Refused []RefusedRecipient
}

// RefusedRecipient is a recipient whose address the service behind the outlet refuses.
type RefusedRecipient struct {
	Address    string // as in the envelope
	Diagnostic string // the refusal
}

// Pause is what has to wait together with a message.
type Pause int

// What can be paused.
const (
	PauseNothing    Pause = iota
	PauseLane             // every message of the mailbox
	PauseConnection       // every message of the connection, or of the principal that brings its own credential
)

// Doubt is whether a message may have been sent although no attempt ended as sent.
type Doubt int

// The kinds of doubt.
const (
	NotSent Doubt = iota // it was certainly not sent
	Watched              // it may have been or was sent, and another attempt can confirm that
	InDoubt              // it may have been sent, and waiting will not show
)
