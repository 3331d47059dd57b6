package delivery

import (
	"math/rand/v2"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// Messages in delivery hold at most the memory that there is, and what the last one takes beyond
// it. What one does not need after all is there for others.
func TestMemory(t *testing.T) {
	s := newSlots(Config{Concurrency: 1000, PerLane: 8, Memory: 800}, needs)
	now := time.Now()
	want := func(what string, responsive, unresponsive, ofLane int64) {
		t.Helper()
		m := s.claim(now).Memory
		if m.Responsive != responsive || m.Unresponsive != unresponsive || m.Lane(lane(1)) != ofLane {
			t.Errorf("%s: %d and %d bytes, %d for the lane; want %d, %d, %d", what, m.Responsive, m.Unresponsive, m.Lane(lane(1)), responsive, unresponsive, ofLane)
		}
	}
	signalled := func(what string, want bool) {
		t.Helper()
		if got := len(s.changed) > 0; got != want {
			t.Errorf("%s: signalled %v, want %v", what, got, want)
		}
		if len(s.changed) > 0 {
			<-s.changed
		}
	}
	want("nothing is known", 800, 400, 100)
	first := s.acquire(message(1, 60))
	want("one under way", 800, 340, 40)
	s.responded(lane(1), now)
	signalled("the first response", true)
	want("it is responsive", 740, 400, 40)
	second := s.acquire(message(1, 60))
	want("two of the lane", 680, 400, -20)
	second.hold(50)
	signalled("the lane is still full", true)
	second.hold(10)
	want("one turned out small", 730, 400, 30)
	signalled("the lane was full", true)
	second.hold(5)
	signalled("nothing was full", false)
	second.hold(20)
	signalled("it needs more", false)
	huge := s.acquire(message(2, 5000))
	want("one that needs more than all", -3880, -4600, 20)
	s.responded(lane(2), now)
	<-s.changed
	want("it responds", -4280, -3880, 20)
	if !full(s.claim(now)) {
		t.Error("not full")
	}
	huge.hold(100)
	signalled("all was full", true)
	want("it turned out small", 620, 400, 20)
	now = now.Add(responsiveWindow)
	want("all hang", 800, 220, 20)
	for _, p := range []*slot{first, second, huge} {
		p.release()
	}
	want("all have ended", 800, 400, 100)
	if len(s.lanes) > 0 {
		t.Errorf("it still knows of %d lanes", len(s.lanes))
	}
}

// Lanes that hang take no memory from those that respond, once they have hung for a while, and
// however they change there is never more held than the two bounds and what a last message on
// either side takes. In the end all is given back.
func TestMemoryIsBounded(t *testing.T) {
	const memory, largest = 10_000, 900
	random := rand.New(rand.NewPCG(1, 2))
	s := newSlots(Config{Concurrency: 1000, PerLane: 8, Memory: memory}, needs)
	now := time.Now()
	var under []*slot
	for range 3000 {
		c := s.claim(now)
		rooms := map[bool]int64{true: c.Memory.Responsive, false: c.Memory.Unresponsive}
		for range 200 { // as queue.Claim does
			l := random.IntN(60)
			kind := c.Responsive(lane(l))
			n := 1 + random.Int64N(largest)
			if s.lane(lane(l)).busy > 0 && !kind || rooms[kind] <= 0 || c.Memory.Lane(lane(l))-n < -largest {
				continue
			}
			rooms[kind] -= n
			under = append(under, s.acquire(message(l, n)))
		}
		var held int64
		for _, p := range under {
			held += p.bytes
		}
		if most := int64(memory*3/2 + 2*largest); held > most {
			t.Fatalf("%d bytes are held, want at most %d", held, most)
		}
		for range random.IntN(40) {
			if len(under) == 0 {
				break
			}
			i := random.IntN(len(under))
			p := under[i]
			switch random.IntN(3) {
			case 0:
				s.responded(p.lane, now)
			case 1:
				p.hold(random.Int64N(p.bytes + 1))
			default:
				p.release()
				under = append(under[:i], under[i+1:]...)
			}
		}
		now = now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
	}
	for _, p := range under {
		p.release()
	}
	for l, state := range s.lanes {
		if state.busy != 0 || state.bytes != 0 {
			t.Errorf("%s has %d messages and %d bytes in the end", l, state.busy, state.bytes)
		}
	}
	if c := s.claim(now.Add(responsiveWindow)); c.Memory.Responsive != memory || c.Memory.Unresponsive != memory/2 || c.Memory.Lane(queue.Lane{}) != memory/laneShare {
		t.Errorf("in the end there are %d and %d bytes", c.Memory.Responsive, c.Memory.Unresponsive)
	}
}
