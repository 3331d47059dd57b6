package queue

import (
	"testing"
	"time"
)

// divided is a SharedTx of one node, which has no lane.
type divided struct {
	SharedTx
	disowned []LaneID
}

func (*divided) Nodes() ([]Node, error)                       { return []Node{{ID: "a"}}, nil }
func (*divided) LaneCounts(time.Time) (map[string]int, error) { return map[string]int{"": 1}, nil }

func (*divided) Decline(LaneID) {}

func (d *divided) Disown(l LaneID) error {
	d.disowned = append(d.disowned, l)
	return nil
}

// A lane that a node cannot serve is left to the others for a while, then taken, and given back
// between two claims.
func TestUnserved(t *testing.T) {
	var s share
	var tx divided
	start := time.Now()
	nothing := func(Lane) bool { return false }
	choose := func(after time.Duration, l ReadyLane, serves func(Lane) bool) int {
		t.Helper()
		l.ID = 7
		lanes, _, err := s.choose(&tx, Claim{Node: "a", Serves: serves}, []ReadyLane{l}, start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return len(lanes)
	}
	for _, c := range []struct {
		after    time.Duration
		lane     ReadyLane
		taken    int
		disowned int // since the start
	}{
		{0, ReadyLane{}, 0, 0},
		{leftUnserved - time.Second, ReadyLane{}, 0, 0},
		{leftUnserved, ReadyLane{}, 1, 0},
		{leftUnserved, ReadyLane{Owned: true, InDelivery: 1}, 0, 0},
		{leftUnserved, ReadyLane{Owned: true}, 0, 1},
		{leftUnserved, ReadyLane{}, 0, 1},
		{leftUnserved + giveAgain, ReadyLane{}, 1, 1},
		{leftUnserved + giveAgain, ReadyLane{Owned: true}, 0, 2},
	} {
		if got := choose(c.after, c.lane, nothing); got != c.taken || len(tx.disowned) != c.disowned {
			t.Errorf("after %v, of %+v took %d, and has given back %d", c.after, c.lane, got, len(tx.disowned))
		}
	}
	if choose(leftUnserved+giveAgain, ReadyLane{}, nil) != 1 || choose(leftUnserved+giveAgain, ReadyLane{Owned: true}, nil) != 1 {
		t.Error("did not take or keep a lane that it can serve")
	}
}
