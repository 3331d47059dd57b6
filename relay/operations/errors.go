package operations

import "errors"

// The errors that callers distinguish, with those of package queue. They say what is wrong; what
// can be done about it depends on where it is shown.
var (
	ErrNoContent = errors.New("its content is gone")
	ErrLane      = errors.New("no such lane")
	ErrNotPaused = errors.New("it is not paused")
	// ErrRecipients is an address that is none, or no address or too many of them.
	ErrRecipients = errors.New("bad recipients")
	ErrNoNode     = errors.New("no such relay works on the queue")
)

// Error is one of those errors with a text of its own.
type Error struct {
	Kind error
	Text string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// PausedAsWholeError means that a lane has no pause of its own, and is paused with others.
type PausedAsWholeError struct {
	Lane string // that stands for all of them, a connection or a principal of one
}

// Error implements error.
func (e *PausedAsWholeError) Error() string {
	return "it is not paused itself, but " + e.Lane + " is as a whole"
}
