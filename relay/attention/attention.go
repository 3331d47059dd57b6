// Package attention knows what needs an operator: a catalogue of conditions, each with its cause
// and remedy, and an evaluator that finds which of them hold in a running relay.
//
// The catalogue is that of the alert rules in deploy/prometheus/alerts.yml: a condition that those
// rules know has the same name, threshold and delay here. It also has conditions that no metric
// shows, such as a paused connection. The evaluator only reads, and what it returns is bounded:
// ten thousand paused mailboxes are one condition with a count and some examples.
package attention

import (
	"time"

	"graphrelay/internal/text"
)

// Severity says how urgent a condition is.
type Severity string

// The severities. A critical condition costs mail, or stops it.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Severities returns every severity, the most urgent first.
func Severities() []Severity { return []Severity{Critical, Warning} }

// Values returns the severities as they are configured.
func (Severity) Values() []string { return []string{string(Warning), string(Critical)} }

// Condition is one that holds now. Its texts are single lines of bounded length, but may quote
// what comes from outside.
type Condition struct {
	ID       string    `json:"id"`                // of its Kind
	Subject  string    `json:"subject,omitempty"` // what it is about: a connection, a listener, a node; empty: the relay
	Severity Severity  `json:"severity"`
	Since    time.Time `json:"since"` // when it was first seen
	Summary  string    `json:"summary"`
	Cause    string    `json:"cause"`
	Remedy   string    `json:"remedy"`
	Command  string    `json:"command,omitempty"`  // that shows more
	Page     string    `json:"page,omitempty"`     // of the console that shows more, below /console/
	Value    float64   `json:"value"`              // what was compared with the limit, or a count
	Count    int       `json:"count,omitempty"`    // how many mailboxes, messages or devices it is about, if it counts them
	Examples []string  `json:"examples,omitempty"` // the first few of them
	Shared   bool      `json:"shared,omitempty"`   // it is about the queue, and every node of it sees it
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
