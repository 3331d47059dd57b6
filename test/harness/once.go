package harness

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// entry is what the test reads of a line of the log.
type entry struct {
	Time   time.Time
	Msg    string
	ID     string
	Error  string
	Detail string
}

// checkOnce fails the test if a log tells an event twice: if two entries about one message, one
// soon after the other, have the same text of an error, or if a message ends twice.
func checkOnce(t *testing.T, name, log string) {
	t.Helper()
	seen, sent := map[string]entry{}, map[string]bool{}
	for line := range strings.Lines(log) {
		var e entry
		if json.Unmarshal([]byte(line), &e) != nil || e.ID == "" {
			continue
		}
		if e.Msg == "sent" && sent[e.ID] {
			t.Errorf("%s logs twice that %s was sent", name, e.ID)
		}
		sent[e.ID] = sent[e.ID] || e.Msg == "sent"
		for _, why := range []string{e.Error, e.Detail} {
			before, ok := seen[e.ID+why]
			if why != "" && ok && before.Msg != e.Msg && e.Time.Sub(before.Time) < 100*time.Millisecond {
				t.Errorf("%s logs one fault of %s as %q and as %q: %s", name, e.ID, before.Msg, e.Msg, why)
			}
			seen[e.ID+why] = e
		}
	}
}
