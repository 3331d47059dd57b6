package queuetest

import (
	"slices"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// claimLanesInTurn claims from a lane with one message before a bulk run is done.
func claimLanesInTurn(t *testing.T, b *bench) {
	var bulk []string
	for range 6 {
		bulk = append(bulk, b.put(laneA, "bulk"))
	}
	single := b.put(laneB, "single")
	ids := func(tasks []queue.Task) (out []string) {
		for _, task := range tasks {
			out = append(out, task.ID)
		}
		return out
	}
	got := ids(b.claim(2, 4))
	if !slices.Contains(got, bulk[0]) || !slices.Contains(got, single) {
		t.Fatalf("the first two claimed are %v, want one of each lane", got)
	}
	if got := ids(b.claim(10, 4)); !slices.Equal(got, bulk[1:4]) {
		t.Fatalf("then %v, want the oldest of the lane, %v", got, bulk[1:4])
	}
}

func claimWithinLane(t *testing.T, b *bench) {
	for range 5 {
		b.put(laneA, "x")
	}
	first := b.claim(10, 2)
	if len(first) != 2 || len(b.claim(10, 2)) != 0 {
		t.Fatalf("a lane limited to 2 gave %d, and more when asked again", len(first))
	}
	b.ok(b.store.Finish(t.Context(), first[0].Ref, queue.Outcome{State: queue.Sent}))
	if got := b.claim(10, 2); len(got) != 1 {
		t.Fatalf("after one was finished the lane gave %d, want 1", len(got))
	}
}

func claimDue(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	task := b.claimOne()
	if task.Attempts != 1 || task.Progress.Leftover {
		t.Errorf("the first claim has attempts %d and leftover %v", task.Attempts, task.Progress.Leftover)
	}
	due := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Deferred, Due: due, Reason: "network", Progress: queue.Progress{Leftover: true}}))
	tasks, next, err := b.store.Claim(t.Context(), queue.Claim{Node: "n1", Max: 1, PerLane: 1})
	b.ok(err)
	if len(tasks) != 0 || !next.Equal(due) {
		t.Errorf("claimed %d, next due %v; want 0 and %v", len(tasks), next, due)
	}
	b.ok(b.store.Apply(t.Context(), id, queue.Retry, "test"))
	task = b.claimOne()
	if task.Attempts != 2 || !task.Progress.Leftover {
		t.Errorf("the second claim has attempts %d and leftover %v", task.Attempts, task.Progress.Leftover)
	}
	b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Queued, Progress: task.Progress}))
	if r, _ := b.get(id); r.Attempts != 1 || r.State != queue.Queued {
		t.Errorf("given back, it is %s with %d attempts", r.State, r.Attempts)
	}
}

// claimNewAndDeferred claims both kinds of a lane alternately, whichever came first.
func claimNewAndDeferred(t *testing.T, b *bench) {
	kinds := map[string]string{}
	for range 6 {
		kinds[b.put(laneA, "x")] = "deferred"
	}
	for _, task := range b.claim(6, 6) {
		b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Deferred, Due: time.Now()}))
	}
	for range 6 {
		kinds[b.put(laneA, "x")] = "new"
	}
	for _, n := range []int{1, 3, 4} { // alone and together
		got := map[string]int{}
		var refs []queue.Ref
		for range 4 / n {
			for _, task := range b.claim(n, 6) {
				got[kinds[task.ID]]++
				refs = append(refs, task.Ref)
			}
		}
		if len(got) != 2 || got["new"]-got["deferred"] > 1 || got["deferred"]-got["new"] > 1 {
			t.Errorf("claimed %d at a time: %v", n, got)
		}
		for _, ref := range refs {
			b.ok(b.store.Finish(t.Context(), ref, queue.Outcome{State: queue.Sent}))
		}
	}
}

// claimEndsTheOneBefore checks that a worker which has given a message back can no longer
// change it, also while another worker has it.
func claimEndsTheOneBefore(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	first := b.claimOne()
	b.finish(first.Ref, queue.Outcome{State: queue.Queued})
	second := b.claimOne()
	b.want(b.store.Finish(t.Context(), first.Ref, queue.Outcome{State: queue.Sent}), queue.ErrFenced)
	if r, _ := b.get(id); r.State != queue.Delivering {
		t.Errorf("it is %s", r.State)
	}
	b.finish(second.Ref, queue.Outcome{State: queue.Sent})
}
