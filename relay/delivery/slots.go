package delivery

import (
	"sync"
	"time"

	"graphrelay/relay/queue"
)

const (
	// responsiveWindow is how long a lane counts as responsive after a response.
	responsiveWindow = 5 * time.Second
	// unresponsivePerSlot is how many messages of unresponsive lanes may be in delivery
	// for each slot.
	unresponsivePerSlot = 4
)

// slots limits how many messages are in delivery at a time. A request that hangs does so
// for minutes, and it cannot be known in advance which one will: if enough lanes hung,
// they would come to occupy every slot. So the slots are for responsive lanes, whose
// outlet has carried out a request in the last seconds. Any other lane, whether its
// requests hang or fail or it had nothing to send, has one message at a time in delivery,
// beside the slots.
type slots struct {
	node    string
	total   int // for responsive lanes
	perLane int
	mu      sync.Mutex
	lanes   map[queue.Lane]*laneState
	changed chan struct{} // receives when more may be claimed
}

type laneState struct {
	busy         int // messages in delivery
	lastResponse time.Time
}

func (l *laneState) responsive(now time.Time) bool { return now.Sub(l.lastResponse) < responsiveWindow }

func newSlots(cfg Config) *slots {
	return &slots{node: cfg.Node.ID, total: cfg.Concurrency, perLane: cfg.PerLane,
		lanes: map[queue.Lane]*laneState{}, changed: make(chan struct{}, 1)}
}

// claim returns a claim for as many messages as there are free slots. No slot may be
// acquired between claim and the acquisition of what was claimed.
func (s *slots) claim(now time.Time) queue.Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	responsive := map[queue.Lane]bool{}
	busy, beside := 0, 0
	for lane, state := range s.lanes {
		switch {
		case state.responsive(now):
			responsive[lane] = true
			busy += state.busy
		case state.busy == 0:
			delete(s.lanes, lane)
		default:
			beside += state.busy
		}
	}
	// A lane's messages in delivery count on the side where the lane is now, so either
	// side can be over its limit; the other side then has that much less.
	free, freeBeside := s.total-busy, s.total*unresponsivePerSlot-beside
	return queue.Claim{
		Node: s.node, PerLane: s.perLane, Responsive: func(l queue.Lane) bool { return responsive[l] },
		Max: min(free, free+freeBeside), MaxUnresponsive: min(freeBeside, free+freeBeside),
	}
}

// full reports whether every slot is taken.
func (s *slots) full() bool {
	c := s.claim(time.Now())
	return c.Max <= 0 && c.MaxUnresponsive <= 0
}

func (s *slots) acquire(l queue.Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(l).busy++
}

func (s *slots) release(l queue.Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(l).busy--
	s.signal()
}

// responded notes that a request of the lane has just been carried out.
func (s *slots) responded(l queue.Lane, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.lane(l)
	if !state.responsive(now) {
		s.signal() // the lane may have more than one message in delivery now
	}
	state.lastResponse = now
}

func (s *slots) lane(l queue.Lane) *laneState {
	state := s.lanes[l]
	if state == nil {
		state = &laneState{}
		s.lanes[l] = state
	}
	return state
}

func (s *slots) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
