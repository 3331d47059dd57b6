// Package alert tells operators of the conditions that need them (see package attention), by mail
// and by webhooks.
//
// A condition that opens makes an incident, with a reference that stays the same. Each channel is
// told of an incident once, and once more when it is over; a restart in between changes nothing.
// What a channel was told is recorded with the incident, and this is all of its outbox: what is
// not recorded is still to be told. A mail is told exactly once, as the queue promises: its queue
// ID is recorded before it is queued. A webhook is told at least once, since an answer can be
// lost, always with the same webhook-id.
//
// Where several nodes share a queue, what is about the queue is told by one of them, the one that
// has run longest, and the incidents are in the queue, so that another can go on.
//
// No alert is made of an alert that fails. URLs and keys of webhooks never reach a log or an error.
package alert

import (
	"crypto/rand"
	"log/slog"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/queue"
)

// Incident is a condition from when it opened until it is over.
type Incident struct {
	Ref string `json:"reference"`
	attention.Condition
	Opened time.Time        `json:"opened"`
	Closed time.Time        `json:"closed,omitzero"` // zero: it is open
	Text   []string         `json:"text,omitempty"`  // the lines of a digest, which is no condition
	Told   map[string]*Told `json:"told,omitempty"`  // by channel
}

// Told is what a channel was told of an incident.
type Told struct {
	Opened bool `json:"opened,omitempty"`
	Closed bool `json:"closed,omitempty"`
	// Next is the queue ID of the mail that is about to be queued, and is recorded before that.
	Next string `json:"next,omitempty"`
	// Mail is the queue ID of the last mail that was queued, and Via the number of the mailbox
	// that sends it. Settled: it has left, or nothing more can be done for it.
	Mail    string `json:"mail,omitempty"`
	Via     int    `json:"via,omitempty"`
	Settled bool   `json:"settled,omitempty"`
}

// open reports whether the incident lasts.
func (i *Incident) open() bool { return i.Closed.IsZero() && i.ID != digestID }

// Duration returns how long the incident has lasted at now.
func (i *Incident) Duration(now time.Time) time.Duration {
	if !i.Closed.IsZero() {
		now = i.Closed
	}
	return now.Sub(i.Since)
}

// Settings are those of the configuration.
type Settings struct {
	Host      string // the relay's name
	Node      string // its name among those that share the queue; empty: it is alone
	PerHour   int    // messages of one channel
	Channels  []Channel
	Sends     func(id string) bool // whether channels are told of a condition
	Digest    string               // the local time of the daily digest, as 15:04; empty: none is sent
	Heartbeat Heartbeat
	Log       *slog.Logger
}

// Channel is one way to an operator: by mail if To is given, else by webhook.
type Channel struct {
	Name     string
	Severity attention.Severity // the least that it is told of

	To   []string
	From []queue.Lane // the first that is not in trouble sends

	URL    string // a secret
	Format string // json, teams or slack
	Key    []byte // signs, if there is one
}

func (c *Channel) mail() bool { return len(c.To) > 0 }

// wants reports whether the channel is told of incidents of a severity.
func (c *Channel) wants(s attention.Severity) bool { return s.AtLeast(c.Severity) }

// newRef returns a reference that people can read out.
func newRef() string {
	const letters = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails since Go 1.24
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
