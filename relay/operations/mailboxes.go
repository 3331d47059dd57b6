package operations

import (
	"time"

	"graphrelay/graph"
)

// Mailbox is a lane with what its mailbox has used of the limits of Microsoft 365.
type Mailbox struct {
	Lane
	// Graph is what this relay uses of the limits on requests; nil where it has no client, as for
	// an owner or a client that has to sign in first.
	Graph *graph.Usage `json:"graph,omitempty"`
	// Recipients is to how many recipients mail was sent within 24 hours, and RecipientLimit how
	// many Exchange allows; 0: it is not limited.
	Recipients     int64 `json:"recipients"`
	RecipientLimit int64 `json:"recipient_limit"`
}

// Whole reports whether it stands for all lanes of a connection or a principal.
func (m Mailbox) Whole() bool { return m.Lane.Lane.Mailbox == "" }

// Waiting returns how many messages wait or are held.
func (m Mailbox) Waiting() (n int64) {
	for _, of := range m.Messages {
		n += of
	}
	return n
}

// Paused reports whether the lane itself is paused at a time.
func (m Mailbox) Paused(now time.Time) bool { return m.PausedUntil != nil && m.PausedUntil.After(now) }
