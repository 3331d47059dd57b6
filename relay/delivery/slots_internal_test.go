package delivery

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

func lane(n int) queue.Lane { return queue.Lane{Connection: "c", Mailbox: fmt.Sprint(n)} }

// A lane has a place of its own until it answers, then shares those of the others, and
// gives them up when it answers no more.
func TestPlaces(t *testing.T) {
	p := newPlaces(Config{Concurrency: 10, PerLane: 6})
	now := time.Now()
	want := func(what string, room, probes int, answers bool) {
		t.Helper()
		if c := p.claim(now); c.Max != room || c.MaxUnresponsive != probes || c.Responsive(lane(1)) != answers || c.PerLane != 6 {
			t.Errorf("%s: room for %d and %d, answers %v; want %d, %d, %v", what, c.Max, c.MaxUnresponsive, c.Responsive(lane(1)), room, probes, answers)
		}
	}
	signalled := func(what string, want bool) {
		t.Helper()
		got := len(p.changed) > 0
		if got {
			<-p.changed
		}
		if got != want {
			t.Errorf("%s: signalled %v, want %v", what, got, want)
		}
	}
	want("nothing is known", 10, 40, false)
	p.take(lane(1))
	p.take(lane(2))
	want("two under way", 10, 38, false)
	signalled("no answer", false)
	p.answered(lane(1), now)
	signalled("the first answer", true)
	want("one answers", 9, 39, true)
	p.take(lane(1))
	now = now.Add(patience - 1)
	p.answered(lane(1), now)
	signalled("another answer", false)
	now = now.Add(patience - 1)
	want("it still does", 8, 39, true)
	now = now.Add(1)
	want("it hangs", 10, 37, false)
	p.leave(lane(1))
	signalled("an end", true)
	want("one of its messages is left", 10, 38, false)
	p.leave(lane(1))
	p.leave(lane(2))
	want("all have ended", 10, 40, false)
	if len(p.lanes) > 0 {
		t.Errorf("it still knows of %d lanes", len(p.lanes))
	}
}

// However many lanes come to answer and then hang, so many are in delivery and no more.
func TestPlacesAreBounded(t *testing.T) {
	p := newPlaces(Config{Concurrency: 10, PerLane: 6})
	now := time.Now()
	for n := range 1000 {
		c := p.claim(now)
		for range max(c.Max, 0) {
			p.take(lane(n % 50))
		}
		for probe := range max(c.MaxUnresponsive, 0) {
			p.take(lane(1000*n + probe))
		}
		p.answered(lane((n+1)%50), now)
		busy := 0
		for _, u := range p.lanes {
			busy += u.busy
		}
		if busy != 50 {
			t.Fatalf("%d are in delivery, want 10 and four times as many", busy)
		}
		now = now.Add(time.Second)
	}
}
