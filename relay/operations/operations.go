// Package operations is what an operator can see of a relay and do to it. It is one interface for
// the command line, the API and the console, so that all three show the same, refuse the same and
// leave the same records of who did what.
//
// Operations works on the queue, whether a relay runs or not: Local implements it on the queue
// itself. Live is what only a running relay can tell or do. Texts that come from mail are as they
// came: who shows them makes them safe.
package operations

import (
	"context"
	"io"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// Operations is what can be seen of a queue and done to it. What changes something takes the name
// of who asks for it, and records it before and after (see Audits).
type Operations interface {
	// Messages returns the messages that f selects, oldest first, at most f.Limit of them, or
	// 1,000 if that is 0. They have no Events.
	Messages(ctx context.Context, f queue.Filter) ([]Message, error)
	// Count returns how many messages f selects, whatever its Limit.
	Count(ctx context.Context, f queue.Filter) (int64, error)
	// Message returns a message with its Events. It returns queue.ErrNotFound if there is none.
	Message(ctx context.Context, id string) (Message, error)
	// Content writes a message byte for byte as it was received. It writes what is left of a
	// damaged one too, and then returns queue.ErrDamaged. It returns ErrNoContent if only the
	// record is left.
	Content(ctx context.Context, id string, w io.Writer) error
	// RecordReading records that somebody reads the content of messages. Who shows content to
	// people calls it before that, once for what they asked for.
	RecordReading(ctx context.Context, by string, r Reading, ids ...string) error
	// Act carries out an action on messages, one after the other, and goes on after an error. It
	// returns a result for each, in the order of ids. With dry it changes nothing.
	Act(ctx context.Context, by string, a queue.Action, ids []string, dry bool) ([]Result, error)
	// ActAll carries out an action on what f selects of the queue as it is now, oldest first and
	// not more than f.Limit unless that is 0. It passes over messages for which the action is not
	// possible, and returns how many it changed, also with an error. It returns queue.ErrState if
	// the action is possible in none of the states that f names. With dry it changes nothing, and
	// returns how many it would change. It returns -1 if ctx ended and the number is not known.
	ActAll(ctx context.Context, by string, a queue.Action, f queue.Filter, dry bool) (int64, error)
	// Search is Messages for somebody who waits: it ends after that time with what it has found,
	// and says up to where it has looked.
	Search(ctx context.Context, f queue.Filter, within time.Duration) (Found, error)
	// Resend sends the content of a message that is held, has failed or has come back to these
	// recipients, as a message of its own, whose ID it returns. The first message loses its
	// content, so that only one of the two can go out. It returns queue.ErrState for a message
	// that may still go out itself or has no content, and ErrRecipients for addresses that are
	// none.
	Resend(ctx context.Context, by, id string, recipients []string) (again string, err error)
	// Lanes returns the lanes that have messages or a pause, by name.
	Lanes(ctx context.Context) ([]Lane, error)
	// Pause stops delivery from a lane, which is written as connection/mailbox, or from all lanes
	// of a connection; until Resume if length is 0. It returns ErrLane for a name that is no lane.
	Pause(ctx context.Context, by, lane string, length time.Duration) error
	// Resume ends the pause of a lane; of a connection, those of its lanes too. It returns how
	// many pauses it ended, and ErrNotPaused or a PausedAsWholeError if there was none to end.
	Resume(ctx context.Context, by, lane string) (pauses int, err error)
	// Audits returns the newest records of what operators did, oldest first.
	Audits(ctx context.Context, limit int) ([]queue.Audit, error)
	// Nodes returns the relays that work on the queue, by name.
	Nodes(ctx context.Context) ([]Node, error)
	// Drain has the relays of a name take no more lanes, or ends that. It returns ErrNoNode if
	// there is none, and queue.ErrNotShared if the queue is one relay's alone.
	Drain(ctx context.Context, by, node string, drain bool) error
}

// Reading is in which form somebody reads the content of messages, as the audit log has it.
type Reading string

// The forms.
const (
	ReadContent Reading = "read content" // the addresses, the attachments and other parts
	ReadSource  Reading = "read source"  // the beginning of the message as it was received
	Exported    Reading = "export"       // all of it
)

// Result is what became of an action on one message.
type Result struct {
	ID  string
	Err error // queue.ErrNotFound, queue.ErrState, or a fault of the queue; nil if it was done
}

// Found is a part of what a search selects.
type Found struct {
	Messages []Message `json:"messages"`
	// Looked is the ID up to which the search has looked, if its time was over: Filter.After for
	// the search that goes on. It is empty if the list is complete, or as long as its limit.
	Looked string `json:"looked,omitempty"`
}

// Live is what only a running relay can tell or do. The configuration that it has is called the
// one in use.
type Live interface {
	// ReloadFile replaces the configuration in use with that of the file. It returns a Refusal if
	// the relay does not take it, and then the one in use stays.
	ReloadFile(ctx context.Context) error
	// DiffFile returns what ReloadFile would change, or a Refusal.
	DiffFile(ctx context.Context) (Difference, error)
	// ConsoleLink returns a link with which a browser signs in to the console once, as
	// administrator, in the name of by. It returns a Refusal where no console is served.
	ConsoleLink(ctx context.Context, by string) (string, error)
}

// Refusal is why a relay does not take a configuration, or what its configuration does not permit;
// one fault on each line.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// Difference is what a reload would change.
type Difference struct {
	File    string          `json:"file" doc:"The configuration file of the relay."`
	Changes []config.Change `json:"changes" nullable:"false" doc:"The settings that differ."`
}
