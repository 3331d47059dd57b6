package graphmail

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// The first 30 messages of a mailbox in a minute are not carried over, and more of them wait
// for their turn, without delay for other mailboxes.
func TestBacklog(t *testing.T) {
	b := newBacklog()
	lane, other := queue.Lane{Mailbox: "a"}, queue.Lane{Mailbox: "b"}
	now := time.Now()
	for _, tt := range []struct {
		after time.Duration
		sends int
		wait  time.Duration
	}{
		{0, 0, 0},
		{0, 30, 0},
		{0, 1, 2 * time.Second},
		{0, 2969, 99 * time.Minute}, // 3,000 in all
		{time.Hour, 0, 39 * time.Minute},
		{39 * time.Minute, 30, time.Minute},
		{time.Hour, 30, 0},
	} {
		now = now.Add(tt.after)
		for range tt.sends {
			b.add(lane, now)
		}
		if got := b.wait(lane, now); got != tt.wait {
			t.Errorf("%s later and after %d more: carried over for %s, want %s", tt.after, tt.sends, got, tt.wait)
		}
		if got := b.wait(other, now); got != 0 {
			t.Errorf("another mailbox's is carried over for %s", got)
		}
	}
	b.add(other, now.Add(time.Hour))
	if len(b.until) != 1 {
		t.Errorf("%d lanes are kept", len(b.until))
	}
}
