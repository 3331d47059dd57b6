package operations

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/flow"
)

// Alerts is what a running relay tells operators of by itself.
type Alerts interface {
	// Incidents returns the open incidents, the oldest first; with all also those of the last days
	// that are over.
	Incidents(ctx context.Context, all bool) ([]Incident, error)
	// TestAlerts sends a test message to a channel, or to each if it is empty, and returns what
	// became of it. It returns ErrNoChannel if there is no such channel, or none at all.
	TestAlerts(ctx context.Context, channel string) ([]AlertTest, error)
}

// Overview is what a running relay sees of itself.
type Overview interface {
	// Attention returns what needs an operator now, the most severe first.
	Attention(ctx context.Context) []Condition
	// Flow returns how mail flowed in a time until now, of at most a day, in points of the length
	// step.
	Flow(length, step time.Duration) flow.Series
}

// Condition is one that needs an operator now.
type Condition struct {
	Reference string `json:"reference,omitempty" doc:"What names its incident, in messages too. Without it, none has been made yet."`
	attention.Condition
}

// ErrNoChannel is a channel that is not configured.
var ErrNoChannel = errors.New("there is no such channel of alerts")

// Incident is a condition that needs an operator, from its beginning to its end.
type Incident struct {
	Reference string             `json:"reference" doc:"What names the incident, in messages too."`
	ID        string             `json:"id" doc:"The kind of the condition, as in the list of alerts." example:"MailWaits"`
	Subject   string             `json:"subject,omitempty" doc:"What it is about, such as a connection. Without it, the relay."`
	Severity  attention.Severity `json:"severity" doc:"How urgent it is: critical, warning or info."`
	Since     time.Time          `json:"since" doc:"When the condition was first seen."`
	Opened    time.Time          `json:"opened" doc:"When it had lasted long enough to be told of."`
	Closed    *time.Time         `json:"closed,omitempty" doc:"When it was over. Without it, it lasts."`
	Summary   string             `json:"summary" doc:"What is wrong, in a few words."`
	Cause     string             `json:"cause" doc:"Why, as far as the relay knows."`
	Remedy    string             `json:"remedy" doc:"What to do about it."`
	Command   string             `json:"command,omitempty" doc:"The command that shows more."`
	Page      string             `json:"page,omitempty" doc:"The page of the console that shows more, below /console/."`
	Count     int                `json:"count,omitempty" doc:"How many mailboxes, messages or devices it is about, if it counts them."`
	Examples  []string           `json:"examples,omitempty" doc:"The first few of them."`
	Shared    bool               `json:"shared,omitempty" doc:"Whether it is about the queue, and so about every relay on it."`
}

// Lasted returns how long the incident has lasted at now.
func (i Incident) Lasted(now time.Time) time.Duration {
	if i.Closed != nil {
		now = *i.Closed
	}
	return now.Sub(i.Since)
}

// AlertTest is what became of a test message.
type AlertTest struct {
	Channel string `json:"channel" doc:"The name of the channel."`
	Result  string `json:"result,omitempty" doc:"What became of the message."`
	Error   string `json:"error,omitempty" doc:"Why it was not sent."`
}
