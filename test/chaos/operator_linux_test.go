package chaos

import (
	"encoding/json"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// operate has an operator look at the queue, and act on a message or a lane. While the disk is
// full or the relay does not get on, commands may fail.
func (r *round) operate(t *testing.T) {
	t.Helper()
	list, ok := r.list(t)
	if !ok {
		return
	}
	switch action := r.random.IntN(8); {
	case action == 0:
		r.relay.QueueCommand(t, "lanes", "--json")
	case action == 1:
		r.relay.QueueCommand(t, "pause", "contoso/"+box(r.random.IntN(boxes)), "--for", "1h")
	case action == 2:
		r.relay.QueueCommand(t, "resume", "contoso")
	case len(list) == 0:
	default:
		r.act(t, action, list[r.random.IntN(len(list))])
	}
}

// act acts on one message. Nobody releases what may have been sent, since it could be sent twice.
func (r *round) act(t *testing.T, action int, q harness.Queued) {
	t.Helper()
	switch {
	case action == 3:
		r.relay.QueueCommand(t, "hold", q.ID)
	case action == 4:
		r.relay.QueueCommand(t, "show", q.ID)
	case action == 5 && strings.HasPrefix(q.Subject, title):
		r.gone[q.Subject] = true // even if the command fails: it may have had its effect
		r.relay.QueueCommand(t, "delete", q.ID)
	case q.Reason == "send_unknown":
	case action == 6:
		r.relay.QueueCommand(t, "retry", q.ID)
	case action == 7:
		r.relay.QueueCommand(t, "release", q.ID)
	}
}

// resumeAll resumes the connection and each lane that is paused.
func (r *round) resumeAll(t *testing.T) {
	t.Helper()
	r.relay.QueueCommand(t, "resume", "contoso")
	for line := range strings.Lines(r.relay.QueueCommand(t, "lanes", "--json").Stdout) {
		var lane struct {
			Lane struct{ Connection, Mailbox string }
			For  string `json:"paused_for"`
		}
		if err := json.Unmarshal([]byte(line), &lane); err != nil {
			t.Errorf("queue lanes --json: %v in %q", err, line)
		} else if lane.For != "" && lane.Lane.Mailbox != "" {
			r.relay.QueueCommand(t, "resume", lane.Lane.Connection+"/"+lane.Lane.Mailbox)
		}
	}
}

// list returns the messages that are not sent; ok is false if the queue could not be read.
func (r *round) list(t *testing.T) (open []harness.Queued, ok bool) {
	t.Helper()
	got := r.relay.QueueCommand(t, "list", "--json", "--limit", "1000000")
	if got.Status != 0 {
		return nil, false
	}
	for line := range strings.Lines(got.Stdout) {
		var q harness.Queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Errorf("queue list --json: %v in %q", err, line)
			return nil, false
		}
		open = append(open, q)
	}
	return open, true
}
