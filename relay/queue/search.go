package queue

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// Found is a part of what a search selects.
type Found struct {
	Records []Record
	// Looked is the ID of the message up to which the search has looked before its time was
	// over: it goes on after that one. It is empty if the list is complete, or as long as its
	// limit.
	Looked string
}

// Search implements Inspector.
func (q *Queue) Search(ctx context.Context, f Filter, within time.Duration) (Found, error) {
	found, err := q.storage.Search(ctx, f, within)
	for i := range found.Records {
		q.toWall(&found.Records[i])
	}
	return found, err
}

// idSlack is by how much the time in a queue ID may differ from the receipt of its message: the
// ID is given when the transfer of the message begins, which ends within half an hour by default,
// and the wall clock may be set meanwhile.
const idSlack = 2 * time.Hour

// IDs returns what the filter says of the order of the list, as bounds of the IDs: from, and
// before to. An empty one is no bound. IDs sort by the time of receipt, so that a search looks
// at no message far outside of the time that it is about.
func (f *Filter) IDs() (from, to string) {
	if !f.Since.IsZero() {
		from = lowestID(f.Since.Add(-idSlack))
	}
	if !f.Before.IsZero() {
		to = lowestID(f.Before.Add(idSlack))
	}
	if prefix := strings.ToLower(f.ID); prefix != "" {
		from, to = max(from, prefix), lower(to, prefix+"\x7f")
	}
	switch {
	case f.After != "" && f.Newest:
		to = lower(to, f.After)
	case f.After != "":
		from = max(from, f.After+" ") // the text after it
	}
	return from, to
}

// lower returns the lower one of two upper bounds.
func lower(a, b string) string {
	if a == "" {
		return b
	}
	return min(a, b)
}

// lowestID returns the lowest ID that can be given at a time, or no bound for a time before 1970.
func lowestID(t time.Time) string {
	ms := t.UnixMilli()
	if ms <= 0 {
		return ""
	}
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(min(ms, 1<<48-1))<<16)
	return idEncoding.EncodeToString(b[:])
}

// Way is how an engine finds the messages of a filter.
type Way int

// The ways of a search.
const (
	ByID        Way = iota // all are looked at in the order of the list, up to its limit
	ByState                // by an index, and then they are sorted
	ByMessageID            // likewise
)

// FewMessages is how many messages are found by their state and sorted. To read and sort all of
// many would take long, and once more for each part of a long list.
const FewMessages = 10_000

// NotLeft returns the states of messages that an index of the Message-IDs of those which have left
// does not have.
func NotLeft() []State { return slices.DeleteFunc(States(), State.Left) }

// Way returns how to find the messages of the filter. few reports whether there are at most
// FewMessages in some states, and false for none.
func (f *Filter) Way(few func([]State) (bool, error)) (Way, error) {
	if is, err := few(f.States); is || err != nil {
		return ByState, err
	}
	if f.MessageID != "" {
		if is, err := few(NotLeft()); is || err != nil {
			return ByMessageID, err
		}
	}
	return ByID, nil
}
