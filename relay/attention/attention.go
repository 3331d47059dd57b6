// Package attention knows what needs an operator: a catalogue of conditions, each with its cause
// and remedy, and an evaluator that finds which of them hold in a running relay.
//
// The catalogue is that of the alert rules in deploy/prometheus/alerts.yml: a condition that those
// rules know has the same name, threshold and delay here. It also has conditions that no metric
// shows, such as a paused connection. The evaluator only reads, and what it returns is bounded:
// ten thousand paused mailboxes are one condition with a count and some examples.
package attention

import (
	"slices"
	"time"

	"graphrelay/internal/text"
)

// Severity says how urgent a condition is.
type Severity string

// The severities. A critical condition costs mail, or stops it; one that is info is as an operator
// has wished, and is shown so that it is not forgotten.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Severities returns every severity, the most urgent first.
func Severities() []Severity { return []Severity{Critical, Warning, Info} }

// Values returns the severities as they are configured.
func (Severity) Values() []string { return []string{string(Info), string(Warning), string(Critical)} }

// AtLeast reports whether the severity is least, or more urgent.
func (s Severity) AtLeast(least Severity) bool {
	return slices.Index(Severities(), s) <= slices.Index(Severities(), least)
}

// Condition is one that holds now. Its texts are single lines of bounded length, but may quote
// what comes from outside.
type Condition struct {
	ID       string    `json:"id" doc:"The kind of the condition, as in the list of alerts." example:"MailWaits"`
	Subject  string    `json:"subject,omitempty" doc:"What it is about, such as a connection. Without it, the relay."`
	Severity Severity  `json:"severity" doc:"How urgent it is: critical, warning or info."`
	Since    time.Time `json:"since" doc:"When the condition was first seen."`
	Summary  string    `json:"summary" doc:"What is wrong, in a few words."`
	Cause    string    `json:"cause" doc:"Why, as far as the relay knows."`
	Remedy   string    `json:"remedy" doc:"What to do about it."`
	Command  string    `json:"command,omitempty" doc:"The command that shows more."`
	Page     string    `json:"page,omitempty" doc:"The page of the console that shows more, below /console/."`
	Value    float64   `json:"value" doc:"What was compared with the limit, or a count."`
	Count    int       `json:"count,omitempty" doc:"How many mailboxes, messages or devices it is about, if it counts them."`
	Examples []string  `json:"examples,omitempty" doc:"The first few of them."`
	Shared   bool      `json:"shared,omitempty" doc:"Whether it is about the queue, and so about every relay on it."`
}

// Observation is what one look finds of a condition.
type Observation struct {
	Subject  string
	Cause    string // empty: the Kind's
	Remedy   string // empty: the Kind's
	Value    float64
	Count    int
	Examples []string
}

const (
	// maxSubjects bounds the conditions of one kind. What is beyond them is one more condition.
	maxSubjects = 20
	// Others is the subject of that one.
	Others      = "others"
	maxExamples = 5
	maxText     = 600 // bytes of a text of a Condition
	maxSubject  = 200
)

// line makes text safe for one line of bounded length.
func line(s string, most int) string { return text.Shorten(text.OneLine(s), most) }
