package delivery

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

func lane(n int) queue.Lane { return queue.Lane{Connection: "c", Mailbox: fmt.Sprint(n)} }

// message returns a message that needs some bytes of memory.
func message(n int, bytes int64) queue.Record {
	return queue.Record{Entry: queue.Entry{Lane: lane(n)}, Size: bytes}
}

func needs(m queue.Record) int64 { return m.Size }

// A lane has one message beside the slots until it is responsive, then it shares the slots,
// and gives them up when it is responsive no more.
func TestSlots(t *testing.T) {
	s := newSlots(Config{Concurrency: 10, PerLane: 6}, needs)
	now := time.Now()
	want := func(what string, free, beside int, responsive bool) {
		t.Helper()
		if c := s.claim(now); c.Max != free || c.MaxUnresponsive != beside || c.Responsive(lane(1)) != responsive || c.PerLane != 6 {
			t.Errorf("%s: %d slots and %d beside, responsive %v; want %d, %d, %v", what, c.Max, c.MaxUnresponsive, c.Responsive(lane(1)), free, beside, responsive)
		}
	}
	signalled := func(what string, want bool) {
		t.Helper()
		got := len(s.changed) > 0
		if got {
			<-s.changed
		}
		if got != want {
			t.Errorf("%s: signalled %v, want %v", what, got, want)
		}
	}
	want("nothing is known", 10, 40, false)
	first, other := s.acquire(message(1, 1)), s.acquire(message(2, 1))
	want("two under way", 10, 38, false)
	signalled("no response", false)
	s.responded(lane(1), now)
	signalled("the first response", true)
	want("one is responsive", 9, 39, true)
	second := s.acquire(message(1, 1))
	now = now.Add(responsiveWindow - 1)
	s.responded(lane(1), now)
	signalled("another response", false)
	now = now.Add(responsiveWindow - 1)
	want("it still is", 8, 39, true)
	now = now.Add(1)
	want("it hangs", 10, 37, false)
	first.release()
	signalled("an end", true)
	want("one of its messages is left", 10, 38, false)
	second.release()
	other.release()
	want("all have ended", 10, 40, false)
	if len(s.lanes) > 0 {
		t.Errorf("it still knows of %d lanes", len(s.lanes))
	}
}

// However many lanes become responsive and then hang, the number in delivery is limited.
func TestSlotsAreBounded(t *testing.T) {
	s := newSlots(Config{Concurrency: 10, PerLane: 6}, needs)
	now := time.Now()
	for n := range 1000 {
		c := s.claim(now)
		for range max(c.Max, 0) {
			s.acquire(message(n%50, 1))
		}
		for i := range max(c.MaxUnresponsive, 0) {
			s.acquire(message(1000*n+i, 1))
		}
		s.responded(lane((n+1)%50), now)
		busy := 0
		for _, l := range s.lanes {
			busy += l.busy
		}
		if busy != 50 {
			t.Fatalf("%d are in delivery, want 10 and four times as many", busy)
		}
		now = now.Add(time.Second)
	}
}
