package queue

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Node is a process that works on the queue. Its claims and its lanes are its own until its
// lease ends.
type Node struct {
	ID       string // names its claims; no two processes share one
	Name     string // of the relay; the next process of the same relay has it too
	Lease    time.Time
	Seen     time.Time // its last renewal
	Draining bool      // an operator has asked it to take no more lanes
	About    About
}

// About is what a node tells of itself.
type About struct {
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"` // by its wall clock
	// Config is a digest of what nodes have to agree on.
	Config string `json:"config,omitempty"`
	// Home names the folder that the node has locked: the process before it of the same home is
	// dead.
	Home string `json:"home,omitempty"`
	// Full: it works on as many messages as it may.
	Full bool `json:"full,omitempty"`
}

// NodeStatus is a node as an operator sees it.
type NodeStatus struct {
	Node
	Lanes      int // that are the node's
	Delivering int // messages that it has claimed
}

// Shared is a Storage that several nodes share. Its transactions are SharedTx.
type Shared interface {
	Storage
	// Owner returns the ID of the node that a lane belongs to, or "".
	Owner(ctx context.Context, l Lane) (string, error)
	// Notes returns the values of the notes of a scope that have not expired at now, by key.
	Notes(ctx context.Context, scope string, now time.Time) (map[string]string, error)
}

// SharedTx divides the lanes among nodes. A lane belongs to one node at a time, or to nobody:
// so Graph's limits on a mailbox hold without a question to the other nodes. The
// lane's epoch is raised whenever it changes hands: it is the fencing token of what a node writes
// of the lane. A lane with messages in delivery does not change hands, so that the fence of a
// claim stands for the epoch of its lane too.
type SharedTx interface {
	Tx
	// Own gives a lane that belongs to nobody to a node. It returns the new epoch, and the lane's
	// carry: what the node before has spent of the mailbox's limits.
	Own(lane LaneID, node string) (epoch int64, carry string, err error)
	// Holds returns ErrFenced unless the lane is the node's under this epoch.
	Holds(ref LaneRef) error
	// Disown makes a lane nobody's that has nothing in delivery.
	Disown(lane LaneID) error
	// Decline says that the node leaves a lane of nobody, which ReadyLanes has returned, to
	// others, so that the next claim may look at other lanes first.
	Decline(lane LaneID)
	// DisownIdle makes nobody's the lanes of a node that have nothing in delivery and were last
	// claimed from before then: those that were so the longest, at most limit. It returns how
	// many these were.
	DisownIdle(node string, servedBefore time.Time, limit int) (int, error)
	// DisownDead makes nobody's the lanes of nodes without a lease at now that have nothing in
	// delivery.
	DisownDead(now time.Time) error
	// LaneCounts returns how many lanes each node has, by ID, and under "" how many are ready at
	// now and nobody's.
	LaneCounts(now time.Time) (map[string]int, error)
	// SetCarry stores the carry of lanes, as far as their nodes still hold them.
	SetCarry(carry map[LaneRef]string) error
	// Note returns the note with this scope and key, or ErrNotFound if there is none or it has
	// expired at now.
	Note(scope, key string, now time.Time) (Note, error)
	// SetNote stores a note in place of the one with its scope and key.
	SetNote(n Note) error
	// DropNotes removes the notes that have expired at now.
	DropNotes(now time.Time) error
}

// Renewal is a request to go on as a node.
type Renewal struct {
	Node  Node // without Lease and Seen
	Lease time.Duration
	Carry map[LaneRef]string // of lanes whose carry has changed
}

// Renewed is what a renewal has found.
type Renewed struct {
	Released int  // messages whose nodes had died, and that wait again
	Draining bool // the node is to take no more lanes
}

// idleLane is how long a lane stays with a node that claims nothing from it: as long as
// Graph's longest window, so that the limits of the mailbox need not be carried over.
const idleLane = 10 * time.Minute

// forgetNode is how long a node without a lease is listed.
const forgetNode = 24 * time.Hour

// Shared reports whether several nodes may share the queue. A node then must not act for a
// claim after its lease has ended.
func (q *Queue) Shared() bool { return q.shared != nil }

// Nodes returns the nodes of the queue by name, those without a lease for a day after it ended.
func (q *Queue) Nodes(ctx context.Context) ([]NodeStatus, error) {
	list, err := q.storage.Nodes(ctx)
	for i := range list {
		list[i].Lease, list[i].Seen = q.clock.Wall(list[i].Lease), q.clock.Wall(list[i].Seen)
	}
	return list, err
}

// Closed returns why nothing may work on the queue, nil if it may.
func (q *Queue) Closed(ctx context.Context) error {
	c, err := q.storage.Closed(ctx)
	return errors.Join(err, c.Error())
}

// Drain implements Controller. A node gives back its lanes once their messages in delivery have
// come to an end.
func (q *Queue) Drain(ctx context.Context, name string, drain bool) error {
	if !q.Shared() {
		return ErrNotShared
	}
	return q.storage.Update(ctx, func(tx Tx) error { return tx.SetDraining(name, drain) })
}

// Renew implements Work. In a storage that is shared it first gives back what nodes without a
// lease had claimed, this one included: if its own lease has ended, another may have looked.
func (q *Queue) Renew(ctx context.Context, r Renewal) (found Renewed, err error) {
	var spare int
	var lowest bool
	first := !q.renewed.Load()
	q.claiming.Lock() // no claim is under way whose result is not known yet
	defer q.claiming.Unlock()
	noted := q.lost.noted() // before the claims are looked at: workers go on losing theirs
	var missed bool
	err = q.storage.Update(ctx, func(tx Tx) (err error) {
		c, err := tx.Closed()
		if err != nil {
			return err
		}
		if q.closed.Store(&c); c.Error() != nil {
			return c.Error()
		}
		// A clock that follows has just heard from the other one: it is no further behind than
		// that was when the renewal was asked for, from where the node itself counts.
		now := q.clock.Now()
		nodes, err := q.replace(tx, r.Node, first)
		if err != nil {
			return err
		}
		found, lowest = Renewed{}, true
		for _, n := range nodes {
			found.Draining = found.Draining || n.ID == r.Node.ID && n.Draining
			lowest = lowest && (n.ID >= r.Node.ID || !n.Lease.After(now))
		}
		if q.Shared() {
			if found.Released, missed, err = q.releaseAll(tx, r.Node.ID, now); err != nil {
				return err
			}
		}
		n := r.Node
		n.Lease, n.Seen = now.Add(r.Lease), now
		if err := tx.SetNode(n); err != nil {
			return err
		}
		if q.Shared() {
			spare, err = divide(tx.(SharedTx), r, now)
		} else {
			found.Released, missed, err = q.releaseAll(tx, r.Node.ID, now)
		}
		if err != nil {
			return err
		}
		if err := q.keepTime(tx, now); err != nil {
			return err
		}
		return tx.Shrink()
	})
	if err != nil {
		return found, err
	}
	q.renewed.Store(true)
	if !missed {
		q.lost.clear(noted)
	}
	q.share.set(r.Node.ID, lowest, spare)
	if found.Released > 0 {
		q.signal()
	}
	return found, nil
}

// replace ends the earlier processes of the same relay, at the first renewal, and forgets
// nodes that are long dead. It returns the other nodes and the node itself, if they are known.
// At a later renewal, another process of the same name has replaced this one. One that may be
// alive, on another machine, is not replaced before its lease ends.
func (q *Queue) replace(tx Tx, n Node, first bool) ([]Node, error) {
	all, err := tx.Nodes()
	if err != nil {
		return nil, err
	}
	now := q.clock.Now()
	rest := all[:0]
	for _, other := range all {
		same := other.Name == n.Name && other.ID != n.ID
		if same && !first {
			return nil, ErrReplaced
		}
		if same && other.About.Home != n.About.Home && other.Lease.After(now) {
			return nil, ErrNameTaken
		}
		if same || other.Lease.Add(forgetNode).Before(now) {
			if err := tx.EndNode(other.ID); err != nil {
				return nil, err
			}
			continue
		}
		rest = append(rest, other)
	}
	return rest, nil
}

// releaseAll gives back the claims of nodes without a lease, and those of this node that no
// worker has: the answer to their claim was lost, or their worker could not record its outcome.
// missed: there are some that another transaction has locked, as one does whose connection is lost
// until the storage notices.
func (q *Queue) releaseAll(tx Tx, node string, now time.Time) (n int, missed bool, err error) {
	n, err = release(tx, now, now)
	if err != nil || !q.lost.any() {
		return n, false, err
	}
	free, locked, err := tx.Claimed(node)
	if err != nil {
		return n, false, err
	}
	for _, ref := range free {
		if q.lost.working(ref) {
			continue
		}
		if err := releaseOne(tx, ref.ID, now); err != nil {
			return n, false, err
		}
		n++
	}
	return n, slices.ContainsFunc(locked, func(ref Ref) bool { return !q.lost.working(ref) }), nil
}

// Leave ends the node: it gives back what it has claimed, and its lanes.
func (q *Queue) Leave(ctx context.Context, node string) error {
	shared := q.Shared()
	return q.storage.Update(ctx, func(tx Tx) error {
		if err := tx.EndNode(node); err != nil || !shared {
			return err
		}
		now := q.clock.Now()
		if _, err := release(tx, now, now); err != nil {
			return err
		}
		return tx.(SharedTx).DisownDead(now)
	})
}

// NodeState is what a node does.
type NodeState string

// The states of a node.
const (
	Live        NodeState = "live"
	DrainingOut NodeState = "draining"
	Gone        NodeState = "gone" // its lease has ended
)

// NodeStates lists every state of a node.
func NodeStates() []NodeState { return []NodeState{Live, DrainingOut, Gone} }

// State returns the state of a node at the time now of the clock that its times are of.
func (n Node) State(now time.Time) NodeState {
	switch {
	case !n.Lease.After(now):
		return Gone
	case n.Draining:
		return DrainingOut
	}
	return Live
}

// ConfigsDiffer reports whether nodes that have a lease at now differ in what they have to
// agree on. Those of different versions cannot be compared.
func ConfigsDiffer(list []NodeStatus, now time.Time) bool {
	of := map[string]string{} // by version
	for _, n := range list {
		if n.State(now) == Gone {
			continue
		}
		if config, ok := of[n.About.Version]; ok && config != n.About.Config {
			return true
		}
		of[n.About.Version] = n.About.Config
	}
	return false
}
