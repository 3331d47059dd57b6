package queuetest

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// overdue finds waiting messages, also those in a paused lane unless their warning would
// wait there too; not those that are being delivered, are in doubt, or are younger.
func overdue(t *testing.T, b *bench) {
	find := func(before time.Time, via queue.Lane) (ids []string) {
		t.Helper()
		list, err := b.store.Overdue(t.Context(), before, via)
		b.ok(err)
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		return ids
	}
	queued := b.put(laneA, "x")
	deferred, doubtful, accepted, held := b.put(laneB, "1"), b.put(laneB, "2"), b.put(laneB, "3"), b.put(laneB, "4")
	now := time.Now()
	ends := map[string]queue.Outcome{
		deferred: {State: queue.Deferred, Due: now.Add(time.Hour), Reason: "network", Detail: "why", Progress: queue.Progress{Document: json.RawMessage(`{}`), Leftover: true}},
		doubtful: {State: queue.Deferred, Due: now.Add(time.Hour), Progress: queue.Progress{InDoubt: true, Leftover: true}},
		accepted: {State: queue.Deferred, Due: now.Add(time.Hour), Progress: queue.Progress{InDoubt: true}},
		held:     {State: queue.Held},
	}
	tasks := b.claim(5, 5)
	if len(tasks) != 5 {
		t.Fatalf("claimed %d", len(tasks))
	}
	if got := find(time.Now(), queue.Lane{}); len(got) != 0 {
		t.Errorf("overdue are %q, which are being delivered", got)
	}
	for _, task := range tasks {
		o := ends[task.ID]
		if task.ID == queued {
			o = queue.Outcome{State: queue.Queued}
		}
		b.finish(task.Ref, o)
	}
	r, _ := b.get(queued)
	both := []string{queued, deferred}
	connection := queue.Lane{Connection: laneA.Connection}
	for _, tt := range []struct {
		before     time.Time
		pause, via queue.Lane
		want       []string
	}{
		{r.Received.Add(-1), queue.Lane{}, queue.Lane{}, nil},
		{r.Received, queue.Lane{}, queue.Lane{}, both[:1]},
		{time.Now(), queue.Lane{}, queue.Lane{}, both},
		{time.Now(), laneA, queue.Lane{}, both[1:]},
		{time.Now(), laneA, laneA, nil},
		{time.Now(), laneA, laneB, both},
		{time.Now(), connection, laneB, nil},
		{time.Now(), connection, queue.Lane{Connection: "other", Mailbox: "p@fabrikam.test"}, both},
		{time.Now(), queue.Lane{Connection: "other"}, queue.Lane{Connection: "other", Mailbox: "p@fabrikam.test"}, nil},
	} {
		if tt.pause.Connection != "" {
			b.ok(b.store.Pause(t.Context(), tt.pause, queue.Forever, reason.Operator))
		}
		if got := find(tt.before, tt.via); !slices.Equal(got, tt.want) {
			t.Errorf("before %s, %v paused, via %v: overdue are %q, want %q", tt.before, tt.pause, tt.via, got, tt.want)
		}
		if err := b.store.Resume(t.Context(), tt.pause); err != nil && !errors.Is(err, queue.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

// warned marks messages as warned, once and while they wait. The warning is queued in
// the same commit or not at all.
func warned(t *testing.T, b *bench) {
	absent := func(m *queue.Submission) {
		t.Helper()
		_, _, err := b.store.Get(t.Context(), m.ID)
		b.want(err, queue.ErrNotFound)
	}
	id := b.put(laneA, "x")
	task := b.claimOne()
	no := submission("it is being tried")
	b.want(b.store.MarkWarned(t.Context(), id, no), queue.ErrFenced)
	absent(no)
	b.finish(task.Ref, queue.Outcome{State: queue.Deferred, Due: time.Now().Add(time.Hour), Reason: "network"})
	taken := submission("its ID is taken")
	taken.ID = id
	if err := b.store.MarkWarned(t.Context(), id, taken); err == nil {
		t.Fatal("a message was queued under an ID that is taken")
	}
	if r, _ := b.get(id); r.Warned {
		t.Error("warned without a warning")
	}
	yes := submission("yes")
	b.ok(b.store.MarkWarned(t.Context(), id, yes, queue.Event{What: "delay warning"}))
	again := submission("again")
	b.want(b.store.MarkWarned(t.Context(), id, again), queue.ErrFenced)
	absent(again)
	b.reopen()
	if r, events := b.get(id); !r.Warned || r.State != queue.Deferred || r.Reason != "network" || len(events) != 1 {
		t.Errorf("after the warning it is %+v with %v", r, events)
	}
	if got := b.claimOne(); got.ID != yes.ID || got.Lane != laneB {
		t.Errorf("claimed %+v, want the warning", got)
	}
	silent := b.put(laneB, "x")
	b.ok(b.store.MarkWarned(t.Context(), silent, nil))
	list, err := b.store.Overdue(t.Context(), time.Now(), queue.Lane{})
	b.ok(err)
	if len(list) != 0 {
		t.Errorf("overdue are %+v", list)
	}
}
