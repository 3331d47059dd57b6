package graphmail

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// The pauses after denied access grow to 35 minutes, and begin anew where an operator has
// ended one, where none was denied for long, and in another lane.
func TestDenialPauses(t *testing.T) {
	d, lane := newDenials(), queue.Lane{Connection: "main", Mailbox: "anna@contoso.test"}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	denied := func(what string, l queue.Lane, start time.Time, asked time.Duration, want int) {
		t.Helper()
		now = start.Add(time.Second)
		if got := d.pause(l, start, now, asked); got != time.Duration(want)*time.Minute {
			t.Errorf("%s: %s, want %d min", what, got, want)
		}
	}
	for _, minutes := range []int{5, 10, 15, 20, 25, 30, 35, 35} {
		denied("in a row", lane, now, 0, minutes)
		first := now
		denied("made beside it", lane, first.Add(time.Second), 0, minutes)
		now = now.Add(time.Duration(minutes) * time.Minute)
	}
	denied("after the longest pause", lane, now, 0, 35)
	denied("resumed by hand", lane, now.Add(20*time.Minute), 0, 5)
	denied("and not granted", lane, now.Add(5*time.Minute), 0, 10)
	denied("in another lane", lane.Whole(), now, 0, 5)
	denied("as Graph asks", lane, now.Add(10*time.Minute), time.Minute, 1)
	denied("after what Graph asked for", lane, now.Add(time.Minute), 0, 20)
	denied("after a day", lane, now.Add(24*time.Hour), 0, 5)
}
