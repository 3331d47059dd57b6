package alert

import (
	"fmt"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/attention"
)

// The events that a notice tells.
const (
	eventOpened  = "opened"
	eventClosed  = "closed"
	eventSummary = "summary" // of several incidents
	eventDigest  = "digest"
	eventTest    = "test"
)

// notice is what a channel is told. Its texts may quote what comes from outside, so that each form
// makes them safe for itself.
type notice struct {
	Event    string
	Ref      string // of the incident, or of the first of several
	Incident *Incident
	Title    string
	Fields   []field  // in the order in which they are read
	Lines    []string // of a summary or digest
	At       time.Time
	Host     string
	Critical bool
}

type field struct{ Name, Value string }

const maxLines = 200

// key identifies the notice: another try to tell it has the same.
func (n *notice) key() string { return n.Ref + "." + n.Event }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// relayName returns which relay tells it.
func relayName(s *Settings) string {
	if s.Node != "" && s.Node != s.Host {
		return s.Host + " (node " + s.Node + ")"
	}
	return s.Host
}

// title returns what the incident is, and of what.
func (i *Incident) title() string {
	if i.Subject == "" {
		return i.Summary
	}
	return i.Summary + ": " + text.OneLine(i.Subject)
}

// noticeOf returns what is told of an incident as it is now.
func noticeOf(s *Settings, i *Incident, now time.Time) notice {
	if i.ID == digestID {
		return notice{Event: eventDigest, Ref: i.Ref, Title: i.Summary, Lines: i.Text, At: now, Host: s.Host}
	}
	c := *i
	n := notice{Event: eventOpened, Ref: i.Ref, Incident: &c, At: now, Host: s.Host, Critical: i.Severity == attention.Critical}
	n.Title = i.title()
	add := func(name, value string) {
		if value != "" {
			n.Fields = append(n.Fields, field{name, text.OneLine(value)})
		}
	}
	if !i.open() {
		n.Event = eventClosed
		add("Over since", stamp(i.Closed))
		add("Lasted", attention.Span(i.Duration(now)))
	}
	add("Severity", string(i.Severity))
	add("Relay", relayName(s))
	add("About", i.Subject)
	add("Since", stamp(i.Since))
	add("Cause", i.Cause)
	if len(i.Examples) > 0 {
		more := ""
		if rest := i.Count - len(i.Examples); rest > 0 {
			more = fmt.Sprintf(" and %d more", rest)
		}
		add("Examples", strings.Join(i.Examples, ", ")+more)
	}
	if i.open() {
		add("What to do", i.Remedy)
		add("To look", i.Command)
	}
	add("Condition", i.ID)
	add("Reference", i.Ref)
	return n
}

// summaryOf returns one notice of several incidents.
func summaryOf(s *Settings, list []entry, now time.Time) notice {
	n := notice{Event: eventSummary, Ref: list[0].Ref, At: now, Host: s.Host, Title: fmt.Sprintf("%d incidents", len(list)),
		Fields: []field{{"Relay", relayName(s)}, {"Why together", fmt.Sprintf("More than %d messages in an hour would have been sent (alerts.per_hour).", s.PerHour)},
			{"To look", "graphrelay alerts"}}}
	for at, e := range list {
		if at == maxLines {
			n.Lines = append(n.Lines, fmt.Sprintf("and %d more", len(list)-at))
			break
		}
		state := "open since " + stamp(e.Since)
		if !e.open() {
			state = "over, lasted " + attention.Span(e.Duration(now))
		}
		n.Lines = append(n.Lines, fmt.Sprintf("%s  %s  %s: %s (%s)", e.Ref, e.Severity, e.title(), text.Shorten(text.OneLine(e.Cause), 200), state))
		n.Critical = n.Critical || e.Severity == attention.Critical
	}
	return n
}

func testNotice(s *Settings, now time.Time) notice {
	return notice{Event: eventTest, Ref: "TEST" + now.UTC().Format("150405"), At: now, Host: s.Host, Title: "A test",
		Fields: []field{{"Relay", relayName(s)}, {"Since", stamp(now)}, {"Cause", "graphrelay alerts test was run."}, {"What to do", "Nothing. Alerts of this relay reach you."}}}
}

// headline returns a line that says what it is about, for a Subject or the head of a card.
func (n *notice) headline() string {
	switch n.Event {
	case eventOpened:
		return strings.ToUpper(string(n.Incident.Severity)) + ": " + n.Title
	case eventClosed:
		return "Over: " + n.Title
	case eventTest:
		return "Test: alerts of this relay reach you"
	}
	return n.Title
}
