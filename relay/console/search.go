package console

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// search is what the page of messages looks for. It is the query of the page's URL, so that every
// search is a link.
type search struct {
	Text, From, To, Subject, User, Client, Lane string
	Since, Before                               string // a time, or how long ago
	States                                      []queue.State
	Reasons                                     []reason.Reason

	After, Newer string // the ID after which the list goes on: older messages, or newer ones
	Round        int    // how often the search has gone on by itself
	filter       queue.Filter
}

// maxWord bounds a text of a search.
const maxWord = 500

// parseSearch reads a query. The message of an error is for the person who has written it.
func parseSearch(v url.Values, now time.Time) (s search, err error) {
	word := func(name string) string {
		text := strings.TrimSpace(v.Get(name))
		return text[:min(len(text), maxWord)]
	}
	s = search{Text: word("q"), From: word("from"), To: word("to"), Subject: word("subject"), User: word("user"), Client: word("client"),
		Lane: word("lane"), Since: word("since"), Before: word("before"), After: word("after"), Newer: word("newer")}
	for _, name := range v["state"] {
		if st := queue.State(name); slices.Contains(queue.States(), st) && !slices.Contains(s.States, st) {
			s.States = append(s.States, st)
		}
	}
	for _, name := range v["reason"] {
		if r := reason.Reason(name); slices.Contains(reason.All(), r) && !slices.Contains(s.Reasons, r) {
			s.Reasons = append(s.Reasons, r)
		}
	}
	s.filter = queue.Filter{States: s.States, Reasons: s.Reasons, From: s.From, To: s.To, Subject: s.Subject, User: s.User, Client: s.Client, Lane: s.Lane, Newest: true}
	since, sinceErr := parseMoment(s.Since, now)
	before, beforeErr := parseMoment(s.Before, now)
	s.filter.Since, s.filter.Before = since, before
	switch text := s.Text; {
	case queue.ValidID(strings.ToLower(text)):
		s.filter.ID = strings.ToLower(text)
	case strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">") && strings.Contains(text, "@"):
		s.filter.MessageID = text
	default:
		s.filter.Text = text
	}
	return s, errors.Join(sinceErr, beforeErr)
}

// parseMoment reads a time as the command line does: how long ago, or a local time.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil && d >= 0 && d < 1e6*time.Hour {
			return now.Add(-24 * d), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil && !t.IsZero() {
			return t, nil
		}
	}
	return time.Time{}, fault{400, "The time " + text + " cannot be read. Write how long ago, such as 2h or 7d, or a time such as 2026-11-29 14:00."}
}

// query returns what the search looks for, without where the list goes on.
func (s search) query() url.Values {
	v := url.Values{}
	add := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	add("q", s.Text)
	add("from", s.From)
	add("to", s.To)
	add("subject", s.Subject)
	add("user", s.User)
	add("client", s.Client)
	add("lane", s.Lane)
	add("since", s.Since)
	add("before", s.Before)
	for _, st := range s.States {
		v.Add("state", string(st))
	}
	for _, r := range s.Reasons {
		v.Add("reason", string(r))
	}
	return v
}

const messagesURL = root + "messages"

// url returns the link of the search, with more parameters, which are names and values.
func (s search) url(more ...string) string {
	v := s.query()
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	if len(v) == 0 {
		return messagesURL
	}
	return messagesURL + "?" + v.Encode()
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

// fields returns the query for a form.
func (s search) fields() (list []field) {
	v := s.query()
	for name, values := range v {
		for _, value := range values {
			list = append(list, field{name, value})
		}
	}
	slices.SortFunc(list, func(a, b field) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	return list
}

// choice is an option that can be chosen.
type choice[T ~string] struct {
	Value   T
	Checked bool
}

func choices[T ~string](all, chosen []T) (list []choice[T]) {
	for _, x := range all {
		list = append(list, choice[T]{x, slices.Contains(chosen, x)})
	}
	return list
}
