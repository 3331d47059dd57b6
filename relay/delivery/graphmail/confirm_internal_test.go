package graphmail

import (
	"errors"
	"testing"
	"time"

	"graphrelay/graph"
)

// A search that was not tried says nothing about the send, however long ago that was, as
// after a stop of an hour. One that fails does so in the end, one that is refused at once.
func TestConfirmBlindly(t *testing.T) {
	throttled := &graph.Error{Status: 429, Class: graph.ClassTemporary, Reason: graph.ReasonThrottled}
	denied := &graph.Error{Status: 403, Class: graph.ClassMailbox, Reason: graph.ReasonAccessDenied}
	failed := &graph.Error{Status: 504, Class: graph.ClassTemporary, Reason: graph.ReasonUnavailable}
	refused := &graph.Error{Status: 400, Class: graph.ClassMessage, Reason: graph.ReasonInvalid}
	for _, tt := range []struct {
		name    string
		err     error
		ago     time.Duration
		unknown bool
	}{
		{"throttled", throttled, time.Hour, false},
		{"denied", denied, time.Hour, false},
		{"failed just now", failed, time.Minute, false},
		{"failed for long", failed, time.Hour, true},
		{"refused", refused, time.Minute, true},
	} {
		tr := &transfer{o: &Outlet{}}
		_, err := tr.confirmBlindly(tt.err, tt.ago)
		var never unknowable
		if errors.As(err, &never) != tt.unknown || !tt.unknown && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
