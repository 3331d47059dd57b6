package queue

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// leftAfter is how long a lane that has work stays with nobody before a node takes it that has
// its share already: the others had the time to.
const leftAfter = time.Second

// leftUnserved is how long a lane that has work stays with nobody before a node takes it that
// cannot serve it: none of the others can, it seems. Its messages then wait or are held as they
// are on a node that is alone. giveAgain is for how long the others may take it between two
// such claims: one of them may have become able to serve it.
const (
	leftUnserved = 10 * time.Minute
	giveAgain    = 2 * time.Second
)

// laneMemory is how long a node remembers a lane of nobody that its claims do not look at: where
// these are many, each claim looks at some of them.
const laneMemory = time.Minute

// share is what a node remembers of how the lanes are divided. Each node may have as many as it
// would if all that have work were divided evenly.
type share struct {
	mu    sync.Mutex
	node  string
	first bool                // of all nodes with a lease, it has the lowest ID
	spare int                 // lanes that it gives back as soon as they have nothing in delivery
	seen  map[LaneID]sighting // lanes of nobody, and those that it has taken though it cannot serve them
	asked time.Time           // when it chose last

	private func(Lane) bool // see Claim
}

// sighting is what a node remembers of a lane that is nobody's, or that it has taken though it
// cannot serve it.
type sighting struct {
	since, last time.Time // when it was first and last seen as nobody's
	epoch       int64     // of the lane, which another node that had it meanwhile has raised
	alien       bool      // taken though it cannot be served
}

func (s *share) set(node string, first bool, spare int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node, s.first, s.spare = node, first, spare
}

func (s *share) setPrivate(is func(Lane) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private = is
}

// serves reports whether the node looks after a lane of this owner beside its deliveries. One
// of the nodes looks after those of nobody, and so does one that has a credential of its own for
// the lane. A process that has not renewed yet is alone.
func (s *share) serves(l Lane, owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node == "" || owner == s.node || owner == "" && (s.first || s.private != nil && s.private(l))
}

// divide gives back lanes of dead nodes, lanes that a node no longer needs, and what it has
// more than its share, as far as nothing is in delivery there. It returns how many are left to
// be given back.
func divide(tx SharedTx, r Renewal, now time.Time) (spare int, err error) {
	node := r.Node.ID
	if err := tx.SetCarry(r.Carry); err != nil {
		return 0, err
	}
	if err := tx.DisownDead(now); err != nil {
		return 0, err
	}
	if err := tx.DropNotes(now); err != nil {
		return 0, err
	}
	if _, err := tx.DisownIdle(node, now.Add(-idleLane), maxIdle); err != nil {
		return 0, err
	}
	part, mine, err := partOf(tx, node, now)
	if err != nil || part >= mine {
		return 0, err
	}
	given, err := tx.DisownIdle(node, now, mine-part)
	return mine - part - given, err
}

// maxIdle bounds how many lanes one renewal gives back.
const maxIdle = 10_000

// partOf returns how many lanes the node should have and how many it has. A node that is
// draining should have none; one that works on as many messages as it may should have no more
// than it has while another has room.
func partOf(tx SharedTx, node string, now time.Time) (part, mine int, err error) {
	nodes, err := tx.Nodes()
	if err != nil {
		return 0, 0, err
	}
	counts, err := tx.LaneCounts(now)
	if err != nil {
		return 0, 0, err
	}
	var self Node
	total, alive, room := counts[""]+counts[node], 1, false
	for _, n := range nodes {
		switch {
		case n.ID == node:
			self = n
		case n.Lease.After(now):
			total += counts[n.ID]
			if !n.Draining {
				alive++
				room = room || !n.About.Full
			}
		}
	}
	part, mine = (total+alive-1)/alive, counts[node]
	switch {
	case self.Draining:
		part = 0
	case self.About.Full && room:
		part = min(part, mine)
	}
	return part, mine, nil
}

// choose returns the lanes from which a node may claim: its own without those that it gives
// back, of nobody's as many as are missing from its share, and those that were left over. It
// gives back, and leaves to others, what it cannot serve. It also returns how many of those it
// has given back that were more than its share.
func (s *share) choose(tx SharedTx, c Claim, ready []ReadyLane, now time.Time) (lanes []ReadyLane, given int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaving := leaving(s.spare, ready)
	room, draining := 0, false
	if slices.ContainsFunc(ready, func(l ReadyLane) bool { return !l.Owned }) {
		part, mine, err := partOf(tx, c.Node, now)
		if err != nil {
			return nil, 0, err
		}
		room, draining = part-mine, part == 0
	}
	if s.seen == nil {
		s.seen = map[LaneID]sighting{}
	}
	for _, l := range ready {
		serves := c.Serves == nil || c.Serves(l.Lane)
		seen, known := s.seen[l.ID]
		seen.last = now
		switch {
		case l.Owned && (!serves || leaving[l.ID]):
			if l.InDelivery > 0 {
				break
			}
			if err := tx.Disown(l.ID); err != nil {
				return nil, 0, err
			}
			if leaving[l.ID] {
				given++
			}
			seen.since = now.Add(giveAgain - leftUnserved)
		case l.Owned:
			seen.alien = false
			lanes = append(lanes, l)
		default:
			if !known || seen.epoch != l.Epoch && !seen.alien {
				seen.since = now
			}
			seen.epoch = l.Epoch
			left := now.Sub(seen.since)
			switch {
			case serves && (room > 0 || !draining && left >= leftAfter):
				room--
				lanes = append(lanes, l)
			case !serves && !draining && left >= leftUnserved:
				seen.alien = true
				lanes = append(lanes, l)
			default:
				tx.Decline(l.ID)
			}
		}
		if s.seen[l.ID] = seen; l.Owned && !seen.alien {
			delete(s.seen, l.ID)
		}
	}
	maps.DeleteFunc(s.seen, func(_ LaneID, seen sighting) bool { return s.asked.Sub(seen.last) > laneMemory })
	s.asked = now
	return lanes, given, nil
}

// gave notes that lanes were given back, once it is durable.
func (s *share) gave(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = max(s.spare-n, 0)
}

// leaving returns which lanes a node gives back: from claim to claim the same ones, so that
// they come to have nothing in delivery.
func leaving(spare int, ready []ReadyLane) map[LaneID]bool {
	if spare == 0 {
		return nil
	}
	var own []LaneID
	for _, l := range ready {
		if l.Owned {
			own = append(own, l.ID)
		}
	}
	slices.Sort(own)
	set := map[LaneID]bool{}
	for _, id := range own[:min(spare, len(own))] {
		set[id] = true
	}
	return set
}

// lost knows the claims that workers of this process have, and whether there may be others in
// its name.
type lost struct {
	mu     sync.Mutex
	work   map[string]int64 // fence by message
	notes  int              // how often there may have come one
	given  int              // as many of these had been noted when the others were given back
	unsure map[Ref]bool     // whose outcome may have been recorded
}

// began notes that a worker has a claim, and ended that it has it no more.
func (l *lost) began(ref Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.work == nil {
		l.work = map[string]int64{}
	}
	l.work[ref.ID] = ref.Fence
}

func (l *lost) ended(ref Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.work[ref.ID] == ref.Fence {
		delete(l.work, ref.ID)
	}
	delete(l.unsure, ref)
}

// finishing notes whether the outcome of a claim may have been recorded, and returns whether it
// may have been before.
func (l *lost) finishing(ref Ref, unknown bool) (before bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before = l.unsure[ref]
	if unknown {
		if l.unsure == nil {
			l.unsure = map[Ref]bool{}
		}
		l.unsure[ref] = true
	}
	return before
}

func (l *lost) working(ref Ref) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.work[ref.ID] == ref.Fence
}

// note records that a claim may have been made, or not been ended, without anybody's
// knowledge.
func (l *lost) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes++
}

func (l *lost) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notes > l.given
}

// noted returns how often a claim has been noted.
func (l *lost) noted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notes
}

// clear notes that the claims were given back that had been noted by then. One that was lost since
// is still to be found.
func (l *lost) clear(noted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = noted
}
