package queuetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/queue"
)

// fewestFirst checks that a lane which keeps its messages longer does not come to have
// more of them in delivery.
func fewestFirst(t *testing.T, b *bench) {
	for range 6 {
		b.put(laneA, "x")
	}
	b.claim(3, 6)
	for range 6 {
		b.put(laneB, "x")
	}
	got := b.claim(5, 6)
	for i, want := range []queue.Lane{laneB, laneB, laneB} {
		if got[i].Lane != want {
			t.Errorf("number %d that was claimed is of %s, which has three and the other one fewer", i+1, got[i].Lane)
		}
	}
	if got[3].Lane == got[4].Lane {
		t.Errorf("then two of %s, and none of the other, which has as many", got[3].Lane)
	}
}

// unresponsive claims one task at a time of an unresponsive lane. Responsive and
// unresponsive lanes do not take slots from each other.
func unresponsive(t *testing.T, b *bench) {
	var others []queue.Lane
	for n := range 4 {
		others = append(others, queue.Lane{Connection: "contoso", Mailbox: fmt.Sprint(n)})
	}
	for _, l := range append(others, laneA) {
		for range 4 {
			b.put(l, "x")
		}
	}
	for i, c := range []struct {
		max, unresponsive int
		want              map[bool]int // by whether the lane is responsive
	}{
		{2, 3, map[bool]int{true: 2, false: 3}},
		{0, 9, map[bool]int{false: 1}},
		{-1, -1, map[bool]int{}},
		{9, 9, map[bool]int{true: 1}},
	} {
		tasks, _, err := b.store.Claim(t.Context(), queue.Claim{Node: "n1", Max: c.max, PerLane: 3, MaxUnresponsive: c.unresponsive,
			Responsive: func(l queue.Lane) bool { return l == laneA }})
		b.ok(err)
		got := map[bool]int{}
		for _, task := range tasks {
			got[task.Lane == laneA]++
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("claim %d took %v, want %v", i+1, got, c.want)
		}
	}
}

// memoryOfClaims claims as long as memory is left: of responsive lanes, of the others, and of
// each lane. The last task may take more than what is left, and the next claim begins with the
// lane that is next.
func memoryOfClaims(t *testing.T, b *bench) {
	small, large := strings.Repeat("s", 10), strings.Repeat("l", 1000)
	for range 3 {
		b.put(laneA, small)
		b.put(laneB, large)
	}
	both := func(queue.Lane) bool { return true }
	one := func(l queue.Lane) bool { return l == laneA }
	for i, c := range []struct {
		bytes, others, ofLane int64
		responsive            func(queue.Lane) bool
		want                  map[queue.Lane]int
	}{
		{bytes: 0, others: 10_000, ofLane: 10_000, responsive: both, want: map[queue.Lane]int{}},
		{bytes: 10_000, others: 10_000, ofLane: 0, responsive: both, want: map[queue.Lane]int{}},
		{bytes: 1, others: 10_000, ofLane: 10_000, responsive: one, want: map[queue.Lane]int{laneA: 1, laneB: 1}},
		{bytes: 10_000, others: 0, ofLane: 1001, responsive: both, want: map[queue.Lane]int{laneA: 2, laneB: 2}},
	} {
		tasks, _, err := b.store.Claim(t.Context(), queue.Claim{Node: "n1", Max: 9, PerLane: 9, MaxUnresponsive: 9, Responsive: c.responsive,
			Memory: queue.Memory{Needs: func(r queue.Record) int64 { return r.Size }, Responsive: c.bytes, Unresponsive: c.others,
				Lane: func(queue.Lane) int64 { return c.ofLane }}})
		b.ok(err)
		got := map[queue.Lane]int{}
		for _, task := range tasks {
			got[task.Lane]++
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("claim %d took %v, want %v", i+1, got, c.want)
		}
	}
}

// from returns an entry of a lane with the given source.
func from(lane, user, client, sender string) queue.Entry {
	e := entry(queue.Lane{Connection: "contoso", Mailbox: lane})
	e.User, e.Client, e.Envelope.From = user, client, sender
	return e
}

// sendersShare checks that a single message passes a run of many that another sender queued
// before, whatever the run consists of and however it came into the queue. The run keeps
// its order.
func sendersShare(t *testing.T, b *bench) {
	const many = 30
	run := func(lane string, _ int) queue.Entry { return from(lane, "", "10.0.0.1", "run@x") }
	madeUp := func(lane string, n int) queue.Entry {
		return from(lane, "", "10.0.0.1", fmt.Sprintf("%d@x", n))
	}
	for name, c := range map[string]struct {
		run    func(lane string, n int) queue.Entry
		single queue.Entry
		before func(ids []string) // claims the run
	}{
		"a sender":                    {run, from("a", "", "10.0.0.1", "single@x"), nil},
		"a client":                    {run, from("b", "", "10.0.0.2", "run@x"), nil},
		"an account":                  {run, from("c", "crm", "10.0.0.1", "run@x"), nil},
		"senders made up by the run":  {madeUp, from("d", "", "10.0.0.2", "single@x"), nil},
		"a run given back at a start": {run, from("e", "", "10.0.0.2", "single@x"), func([]string) { b.claim(3, 10); b.reopen() }},
		"a run that was released": {run, from("f", "", "10.0.0.2", "single@x"), func(ids []string) {
			for _, id := range ids {
				b.ok(b.store.Apply(t.Context(), id, queue.Hold, "anna"))
			}
			for range many { // the lane goes on meanwhile
				b.putEntry(from("f", "", "10.0.0.3", "other@x"), "other")
			}
			b.claimIDs(many)
			for _, id := range ids {
				b.ok(b.store.Apply(t.Context(), id, queue.Release, "anna"))
			}
		}},
	} {
		var ids []string
		for n := range many {
			ids = append(ids, b.putEntry(c.run(c.single.Lane.Mailbox, n), "run"))
		}
		if c.before != nil {
			c.before(ids)
		}
		got := b.claimIDs(3)
		single := b.putEntry(c.single, "single")
		got = append(got, b.claimIDs(2)...)
		if !slices.Contains(got, single) {
			t.Errorf("%s: claimed %v, and not %s that came after the first three", name, got, single)
		}
		got = append(got, b.claimIDs(many)...)
		if got = slices.DeleteFunc(got, func(id string) bool { return id == single }); !slices.Equal(got, ids) {
			t.Errorf("%s: the run was claimed as %v, want %v", name, got, ids)
		}
	}
}

// runsShare checks that a later run neither waits for an earlier one nor makes up for the
// time before it came.
func runsShare(t *testing.T, b *bench) {
	const many = 20
	senderOf := map[string]string{}
	put := func(sender string) {
		for range many {
			senderOf[b.putEntry(from("a", "", "10.0.0.1", sender), "run")] = sender
		}
	}
	put("first@x")
	b.claimIDs(many / 2)
	put("second@x")
	got := map[string]int{}
	for _, id := range b.claimIDs(many / 2) {
		got[senderOf[id]]++
	}
	if diff := got["first@x"] - got["second@x"]; diff < -2 || diff > 2 {
		t.Errorf("of %d that were claimed next, %v", many/2, got)
	}
}

// claimIDs claims and ends at most limit messages, one after another.
func (b *bench) claimIDs(limit int) (ids []string) {
	b.Helper()
	for range limit {
		for _, task := range b.claim(1, 10) {
			b.finish(task.Ref, queue.Outcome{State: queue.Sent})
			ids = append(ids, task.ID)
		}
	}
	return ids
}
