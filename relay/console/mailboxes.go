package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// mailboxesPage shows from which mailboxes mail goes, and what keeps it.
func mailboxesPage() page {
	return page{path: "mailboxes", name: "Mailboxes", file: "mailboxes.html", view: (*Console).mailboxes, actions: []action{
		{path: "mailboxes/pause", role: operators.Operator, do: (*Console).pause},
		{path: "mailboxes/resume", role: operators.Operator, do: (*Console).resume},
	}}
}

// maxMailboxes is how many mailboxes the page shows.
const maxMailboxes = 200

type mailboxesView struct {
	Filter    string // a part of the name
	Mailboxes []mailboxView
	More      int // that are not shown
	Pauses    []pauseLength
	Here      string // where an action of the page leads back to
}

// mailboxView is a mailbox with what the person may do.
type mailboxView struct {
	operations.Mailbox
	Acts   bool
	Here   string
	Pauses []pauseLength
	now    time.Time
}

// Name returns the name of the lane, as actions take it.
func (m mailboxView) Name() string { return m.Lane.Lane.String() }

// IsPaused reports whether the lane itself is paused.
func (m mailboxView) IsPaused() bool { return m.Paused(m.now) }

// States returns the messages by state, without the states that have none.
func (m mailboxView) States() (list []stateCount) {
	for _, state := range queue.States() {
		if n := m.Messages[state]; n > 0 {
			list = append(list, stateCount{state, n})
		}
	}
	return list
}

// NearLimit reports whether it has sent to four fifths of the recipients of a day.
func (m mailboxView) NearLimit() bool {
	return m.RecipientLimit > 0 && m.Recipients >= m.RecipientLimit-m.RecipientLimit/5
}

// pauseLength is a choice of the form.
type pauseLength struct{ Value, Name string }

var pauseLengths = []pauseLength{{"1h", "for 1 hour"}, {"4h", "for 4 hours"}, {"24h", "for a day"}, {"", "until resumed"}}

func (c *Console) mailboxes(r *http.Request) (any, error) {
	list, err := c.cfg.Live.Mailboxes(r.Context())
	v := mailboxesView{Filter: strings.TrimSpace(r.URL.Query().Get("q")), Here: r.URL.RequestURI()}
	acts := operators.Of(r.Context()).Role >= operators.Operator
	for _, m := range list {
		one := mailboxView{Mailbox: m, Acts: acts, Here: v.Here, Pauses: pauseLengths, now: c.now()}
		if !strings.Contains(strings.ToLower(one.Name()), strings.ToLower(v.Filter)) {
			continue
		}
		if len(v.Mailboxes) == maxMailboxes {
			v.More++
			continue
		}
		v.Mailboxes = append(v.Mailboxes, one)
	}
	return v, err
}

func (c *Console) pause(r *http.Request) (done string, err error) {
	lane, length := r.PostForm.Get("lane"), time.Duration(0)
	if text := r.PostForm.Get("for"); text != "" {
		if length, err = time.ParseDuration(text); err != nil || length <= 0 {
			return "", errors.New("the length of the pause is not one of the list")
		}
	}
	if err := c.cfg.Ops.Pause(r.Context(), by(r), lane, length); err != nil {
		return "", fmt.Errorf("cannot pause %s: %w", lane, err)
	}
	return lane + " is paused. Its mail is accepted, and waits.", nil
}

func (c *Console) resume(r *http.Request) (done string, err error) {
	lane := r.PostForm.Get("lane")
	pauses, err := c.cfg.Ops.Resume(r.Context(), by(r), lane)
	if err != nil {
		return "", fmt.Errorf("cannot resume %s: %w", lane, err)
	}
	if pauses > 1 {
		return fmt.Sprintf("%s goes on; %d pauses were ended.", lane, pauses), nil
	}
	return lane + " goes on.", nil
}
