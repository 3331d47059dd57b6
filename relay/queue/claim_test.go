package queue

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// orderOfTurns is a Tx that has nothing but lanes that are ready, in their order.
type orderOfTurns struct {
	Tx
	lanes []ReadyLane
	read  int
}

func (o *orderOfTurns) ReadyLanes(_ time.Time, _ string, after Turn, each func(ReadyLane) bool) error {
	for _, l := range o.lanes {
		if l.Turn.Compare(after) <= 0 {
			continue
		}
		o.read++
		if !each(l) {
			break
		}
	}
	return nil
}

func manyReady(n int) *orderOfTurns {
	o := &orderOfTurns{}
	for i := range n {
		id := LaneID(i + 1)
		o.lanes = append(o.lanes, ReadyLane{ID: id, Turn: Turn{At: int64(1 + i/7), Lane: id}, Lane: Lane{Mailbox: strconv.Itoa(i)}})
	}
	return o
}

// A claim reads as many lanes as it takes, however many are ready.
func TestClaimReadsWhatItTakes(t *testing.T) {
	o := manyReady(20_000)
	for i := range 1000 {
		o.lanes[i].InDelivery = i % 2
	}
	var order turns
	for _, max := range []int{1, 10, 300} {
		o.read = 0
		lanes, err := order.ready(o, time.Time{}, Claim{Max: max, PerLane: 4})
		if err != nil {
			t.Fatal(err)
		}
		idle := len(slices.DeleteFunc(slices.Clone(lanes), func(l ReadyLane) bool { return l.InDelivery > 0 }))
		if idle != max || o.read > 2*max {
			t.Errorf("for %d tasks %d lanes were read, and %d returned that have nothing in delivery", max, o.read, idle)
		}
	}
}

// Lanes for which there are no slots keep a claim neither from the others nor long.
func TestClaimPassesOver(t *testing.T) {
	const ready = 20_000
	for _, at := range []int{0, maxPassed, 2 * maxPassed, ready / 2, ready - 1} {
		o := manyReady(ready)
		c := Claim{Max: 1, PerLane: 4, Responsive: func(l Lane) bool { return l.Mailbox == strconv.Itoa(at) }}
		var order turns
		claims, found := 0, false
		for ; !found && claims <= ready/maxPassed; claims++ {
			o.read = 0
			lanes, err := order.ready(o, time.Time{}, c)
			if err != nil {
				t.Fatal(err)
			}
			if o.read > 2*maxPassed {
				t.Fatalf("a claim read %d lanes", o.read)
			}
			found = len(lanes) == 1 && lanes[0].Lane.Mailbox == strconv.Itoa(at)
		}
		if !found {
			t.Errorf("a lane with a slot behind %d without one was not found by %d claims", at, claims)
		}
		if at < maxPassed && claims > 1 {
			t.Errorf("the lane at %d took %d claims", at, claims)
		}
	}
}

// A lane at its limit is passed over, and one with room is not.
func TestClaimPassesOverFullLanes(t *testing.T) {
	o := manyReady(10)
	for i := range o.lanes {
		o.lanes[i].InDelivery = 4
	}
	o.lanes[7].InDelivery = 3
	var order turns
	lanes, err := order.ready(o, time.Time{}, Claim{Max: 5, PerLane: 4})
	if err != nil || len(lanes) != 1 || lanes[0].ID != 8 {
		t.Errorf("%v, %v", lanes, err)
	}
}
