package console

import (
	"net/http"
	"strings"
	"time"

	"graphrelay/relay/flow"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// overviewPage says whether mail flows, and what needs an operator.
func overviewPage() page {
	return page{path: "", name: "Overview", file: "overview.html", plots: true, view: (*Console).overview}
}

// spans are the times that the page shows, the usual one first.
var spans = []span{
	{"hour", "Last hour", time.Hour, time.Minute, 10 * time.Minute},
	{"day", "Last 24 hours", 24 * time.Hour, 10 * time.Minute, 2 * time.Hour},
}

type span struct {
	Key, Name string
	length    time.Duration
	step      time.Duration // of a point of a plot
	rows      time.Duration // of a row of its table
}

type overviewView struct {
	Conditions []condition
	States     []stateCount // in the order of a message's life
	Waits      int64        // messages that wait for delivery
	Held       int64
	Oldest     time.Time // receipt of the oldest message that waits or is held; zero: none
	Bytes      int64     // of messages that have not left
	Spans      []span
	Span       span
	Flow       flow.Series
	Began      bool // the relay has been started within the span
	Plots      []plot
}

type stateCount struct {
	State queue.State
	N     int64
}

// condition is one with what can be done about it here.
type condition struct {
	operations.Condition
	URL    string // of the page that shows more; empty: there is none
	Resume string // what a button resumes; empty: there is no button
}

func (c *Console) overview(r *http.Request) (any, error) {
	stats, err := c.cfg.Live.Stats(r.Context())
	if err != nil {
		return nil, err
	}
	v := overviewView{Oldest: stats.Oldest, Bytes: stats.Bytes, Held: stats.Messages[queue.Held], Spans: spans, Span: spans[0]}
	for _, state := range queue.States() {
		v.States = append(v.States, stateCount{state, stats.Messages[state]})
	}
	v.Waits = stats.Messages[queue.Queued] + stats.Messages[queue.Delivering] + stats.Messages[queue.Deferred]
	for _, s := range spans {
		if s.Key == r.URL.Query().Get("span") {
			v.Span = s
		}
	}
	v.Flow = c.cfg.Live.Flow(v.Span.length, v.Span.step)
	v.Began = v.Flow.Since.After(c.now().Add(-v.Span.length))
	v.Plots = flowPlots(v.Flow, c.cfg.Live.Flow(v.Span.length, v.Span.rows))
	acts := operators.Of(r.Context()).Role >= operators.Operator
	for _, a := range c.cfg.Live.Attention(r.Context()) {
		v.Conditions = append(v.Conditions, conditionOf(a, acts))
	}
	return v, nil
}

// conditionOf returns a condition for a person who acts on mailboxes, or only looks.
func conditionOf(a operations.Condition, acts bool) condition {
	c := condition{Condition: a}
	switch {
	case !acts:
	case a.ID == "ConnectionPaused":
		c.Resume = a.Subject
	case a.ID == "MailboxPaused" && len(a.Examples) == 1:
		c.Resume = a.Examples[0]
	}
	path, _, _ := strings.Cut(a.Page, "?")
	for _, p := range pages() {
		if a.Page != "" && p.path == path {
			c.URL = root + a.Page
		}
	}
	return c
}
