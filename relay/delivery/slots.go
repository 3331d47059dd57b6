package delivery

import (
	"sync"
	"time"

	"graphrelay/relay/queue"
)

const (
	// patience is how long a lane counts as one that answers after an answer.
	patience = 5 * time.Second
	// probesPerPlace is how many messages of lanes that do not answer may be in
	// delivery for each of those that do.
	probesPerPlace = 4
)

// places shares out how many messages may be in delivery at a time. A request that
// hangs does so for minutes, and nothing tells beforehand which one will: enough lanes
// whose requests hang would come to hold every place. So the places are for lanes for
// which Graph has answered in the last seconds. Of any other lane, be it that it hangs,
// fails, or had nothing to send, one message goes at a time, beside them.
type places struct {
	node    string
	most    int // of lanes that answer, in all
	perLane int
	mu      sync.Mutex
	lanes   map[queue.Lane]*laneUse
	changed chan struct{} // receives when more may be claimed
}

type laneUse struct {
	busy     int // messages in delivery
	answered time.Time
}

func (u *laneUse) answers(now time.Time) bool { return now.Sub(u.answered) < patience }

func newPlaces(cfg Config) *places {
	return &places{node: cfg.Node, most: cfg.Concurrency, perLane: cfg.PerLane,
		lanes: map[queue.Lane]*laneUse{}, changed: make(chan struct{}, 1)}
}

// claim asks for what there is room for. Nobody else may take places until what was
// claimed has taken its own.
func (p *places) claim(now time.Time) queue.Claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := map[queue.Lane]bool{}
	busy, probes := 0, 0
	for l, u := range p.lanes {
		switch {
		case u.answers(now):
			answer[l] = true
			busy += u.busy
		case u.busy == 0:
			delete(p.lanes, l)
		default:
			probes += u.busy
		}
	}
	// Lanes that begin to answer, or cease to, take what they have to the other side.
	places, beside := p.most-busy, p.most*probesPerPlace-probes
	return queue.Claim{
		Node: p.node, PerLane: p.perLane, Responsive: func(l queue.Lane) bool { return answer[l] },
		Max: min(places, places+beside), MaxUnresponsive: min(beside, places+beside),
	}
}

func (p *places) take(l queue.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.use(l).busy++
}

func (p *places) leave(l queue.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.use(l).busy--
	p.signal()
}

// answered notes that Graph has just done something for the lane.
func (p *places) answered(l queue.Lane, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.use(l)
	if !u.answers(now) {
		p.signal() // the lane may have more than one now
	}
	u.answered = now
}

func (p *places) use(l queue.Lane) *laneUse {
	u := p.lanes[l]
	if u == nil {
		u = &laneUse{}
		p.lanes[l] = u
	}
	return u
}

func (p *places) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}
