package delivery

import (
	"cmp"
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
	// laneShare is the part of the memory after which a lane gets no more: an eighth, and what
	// its last message exceeds that by.
	laneShare = 8

	// DefaultMemory is how many bytes the messages in delivery may hold.
	DefaultMemory = 64 << 20
)

// slots limits how many messages are in delivery at a time, and how much memory they hold: a
// message begins with what its outlet says that it needs at most, and gives back what it turns
// out not to need. Nothing waits for memory once it was claimed, so no message can wait for
// another that waits for it.
//
// A request that hangs does so for minutes, and it cannot be known in advance which one will:
// if enough lanes hung, they would come to occupy every slot and all memory. So these are for
// responsive lanes, whose outlet has carried out a request in the last seconds. Any other lane,
// whether its requests hang or fail or it had nothing to send, has one message at a time in
// delivery, beside the slots and with memory of its own, half as much.
type slots struct {
	node    string
	total   int   // for responsive lanes
	memory  int64 // bytes, for responsive lanes
	perLane int
	needs   func(queue.Record) int64
	mu      sync.Mutex
	lanes   map[queue.Lane]*laneState
	left    int64         // of the memory for the kind of lanes that had less at the last claim
	changed chan struct{} // receives when more may be claimed
}

type laneState struct {
	busy         int   // messages in delivery
	bytes        int64 // that they hold
	lastResponse time.Time
}

func (l *laneState) responsive(now time.Time) bool { return now.Sub(l.lastResponse) < responsiveWindow }

func newSlots(cfg Config, needs func(queue.Record) int64) *slots {
	return &slots{node: cfg.Node.ID, total: cfg.Concurrency, memory: cmp.Or(cfg.Memory, DefaultMemory), perLane: cfg.PerLane,
		needs: needs, lanes: map[queue.Lane]*laneState{}, changed: make(chan struct{}, 1)}
}

// claim returns a claim for as many messages as there are free slots and free memory. No slot
// may be acquired between claim and the acquisition of what was claimed.
func (s *slots) claim(now time.Time) queue.Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	responsive := map[queue.Lane]bool{}
	held := map[queue.Lane]int64{}
	var busy, beside laneState // the sums of responsive lanes and of the others
	for lane, state := range s.lanes {
		sum := &beside
		switch {
		case state.responsive(now):
			responsive[lane] = true
			sum = &busy
		case state.busy == 0:
			delete(s.lanes, lane)
		}
		held[lane] = state.bytes
		sum.busy += state.busy
		sum.bytes += state.bytes
	}
	// What a lane has in delivery counts on the side where the lane is now, so either side
	// can be over its limit; the other side then has that much less.
	free, freeBeside := s.total-busy.busy, s.total*unresponsivePerSlot-beside.busy
	bytes, bytesBeside := s.memory-busy.bytes, s.memory/2-beside.bytes
	memory := queue.Memory{Needs: s.needs, Responsive: min(bytes, bytes+bytesBeside), Unresponsive: min(bytesBeside, bytes+bytesBeside),
		Lane: func(l queue.Lane) int64 { return s.memory/laneShare - held[l] }}
	s.left = min(memory.Responsive, memory.Unresponsive)
	return queue.Claim{
		Node: s.node, PerLane: s.perLane, Responsive: func(l queue.Lane) bool { return responsive[l] },
		Max: min(free, free+freeBeside), MaxUnresponsive: min(freeBeside, free+freeBeside), Memory: memory,
	}
}

// full reports whether nothing can be claimed, whichever lane it is of.
func full(c queue.Claim) bool {
	return (c.Max <= 0 || c.Memory.Responsive <= 0) && (c.MaxUnresponsive <= 0 || c.Memory.Unresponsive <= 0)
}

// slot is the place of a message in delivery, with the memory that it holds.
type slot struct {
	s     *slots
	lane  queue.Lane
	bytes int64
}

// acquire takes a slot for a message that was claimed.
func (s *slots) acquire(m queue.Record) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &slot{s: s, lane: m.Lane}
	s.lane(m.Lane).busy++
	p.set(s.needs(m))
	return p
}

// hold notes how many bytes the message holds from now on.
func (p *slot) hold(bytes int64) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	wasFull := s.left <= 0 || s.lane(p.lane).bytes >= s.memory/laneShare
	less := bytes < p.bytes
	p.set(bytes)
	if wasFull && less {
		s.signal()
	}
}

// set changes the bytes of the slot. The caller holds the lock.
func (p *slot) set(bytes int64) {
	more := bytes - p.bytes
	p.s.lane(p.lane).bytes += more
	p.s.left -= max(more, 0)
	p.bytes = bytes
}

func (p *slot) release() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.set(0)
	p.s.lane(p.lane).busy--
	p.s.signal()
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
