package queuetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// isDeleted checks that only the record of a message is left, that it says who deleted the
// message and when, and that it takes no room and waits for nothing.
func (b *bench) isDeleted(id string) {
	b.Helper()
	r, events := b.get(id)
	if r.State != queue.Deleted || r.Reason != reason.Operator || r.Detail != "by anna" || r.HasContent || time.Since(r.Finished) > time.Minute {
		b.Errorf("deleted as %+v", r)
	}
	if last := events[len(events)-1]; last.What != "delete" || last.Detail != "by anna" {
		b.Errorf("the last event is %+v", last)
	}
	_, err := b.store.Open(b.Context(), id)
	b.want(err, queue.ErrNotFound)
	st, err := b.store.Stats(b.Context())
	b.ok(err)
	if st.Messages[queue.Deleted] != 1 || st.Bytes != 0 || !st.Oldest.IsZero() {
		b.Errorf("stats are %+v", st)
	}
	if lanes, err := b.store.Lanes(b.Context()); err != nil || len(lanes) != 0 {
		b.Errorf("the lanes are %+v, %v", lanes, err)
	}
}

// applyToAll carries out actions on more messages than one commit takes.
func applyToAll(t *testing.T, b *bench) {
	const many = 401
	for range many {
		b.put(laneA, "x")
	}
	b.put(laneB, "x")
	do := func(f queue.Filter, a queue.Action, want int) {
		t.Helper()
		n, err := b.store.ApplyAll(t.Context(), f, a, "anna")
		b.ok(err)
		if n != want {
			t.Errorf("%s with %+v changed %d, want %d", a, f, n, want)
		}
	}
	count := func(want int, states ...queue.State) {
		t.Helper()
		n, err := b.store.Count(t.Context(), queue.Filter{States: states})
		b.ok(err)
		if n != int64(want) {
			t.Errorf("%d messages are %v, want %d", n, states, want)
		}
	}
	a := laneA.String()
	do(queue.Filter{Lane: a, Before: time.Now().Add(-time.Hour)}, queue.Hold, 0)
	do(queue.Filter{Lane: a}, queue.Hold, many)
	count(many, queue.Held)
	do(queue.Filter{Lane: a}, queue.Hold, 0)
	oldest, err := b.store.List(t.Context(), queue.Filter{States: []queue.State{queue.Held}, Limit: 201})
	b.ok(err)
	do(queue.Filter{Lane: a, Limit: 201}, queue.Release, 201)
	for _, r := range oldest {
		if r, events := b.get(r.ID); r.State != queue.Queued || !strings.Contains(events[1].Detail, "anna") {
			t.Fatalf("not the oldest were released: %+v", r)
		}
	}
	_, err = b.store.ApplyAll(t.Context(), queue.Filter{States: []queue.State{queue.Sent, queue.Queued}}, queue.Release, "anna")
	b.want(err, queue.ErrState)
	if _, err := b.store.ApplyAll(t.Context(), queue.Filter{}, "burn", "anna"); err == nil {
		t.Error("an unknown action was taken")
	}
	count(202, queue.Queued)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := b.store.ApplyAll(ctx, queue.Filter{}, queue.Delete, "anna"); !errors.Is(err, context.Canceled) || n > 200 {
		t.Errorf("after its end it changed %d, %v", n, err)
	}
	left, err := b.store.Count(t.Context(), queue.Filter{States: []queue.State{queue.Queued, queue.Held}})
	b.ok(err)
	do(queue.Filter{}, queue.Delete, int(left))
	count(many+1, queue.Deleted)
	count(many + 1)
	do(queue.Filter{States: queue.States()}, queue.Retry, 0)
}

// contentIsGone: an action on all passes over the messages whose content is gone.
func contentIsGone(t *testing.T, b *bench) {
	kept, told := b.put(laneA, "x"), b.put(laneA, "x")
	for _, task := range b.claim(2, 2) {
		b.finish(task.Ref, queue.Outcome{State: queue.Failed, Discard: task.ID == told})
	}
	if n, err := b.store.ApplyAll(t.Context(), queue.Filter{}, queue.Retry, "anna"); err != nil || n != 1 {
		t.Errorf("retried %d, %v", n, err)
	}
	if r, _ := b.get(kept); r.State != queue.Queued {
		t.Errorf("it is %s", r.State)
	}
}
