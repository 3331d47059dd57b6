package queuetest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

func progressSurvives(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	task := b.claimOne()
	p := queue.Progress{Document: json.RawMessage(`{"path": "draft", "n": [1, 2.50, "Ü"]}`), Leftover: true, InDoubt: true}
	b.ok(b.store.Save(t.Context(), task.Ref, p, queue.Event{What: "one", RequestID: "r1", Took: 1500 * time.Microsecond}, queue.Event{What: "two", Detail: "d"}))
	b.reopen()
	again := b.claimOne()
	if again.ID != id || !reflect.DeepEqual(again.Progress, p) {
		t.Errorf("claimed again as %+v, with progress %+v", again, again.Progress)
	}
	if _, events := b.get(id); len(events) != 2 || events[0].What != "one" || events[0].RequestID != "r1" || events[0].Took != 1500*time.Microsecond || events[1].Detail != "d" {
		t.Errorf("events came back as %+v", events)
	}
}

func fence(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	old := b.claimOne()
	b.ok(b.store.Apply(t.Context(), id, queue.Hold, "test"))
	b.want(b.store.Save(t.Context(), old.Ref, queue.Progress{}), queue.ErrFenced)
	b.ok(b.store.Apply(t.Context(), id, queue.Release, "test"))
	current := b.claimOne()
	b.want(b.store.Save(t.Context(), old.Ref, queue.Progress{}), queue.ErrFenced)
	b.want(b.store.Finish(t.Context(), old.Ref, queue.Outcome{State: queue.Sent}), queue.ErrFenced)
	b.ok(b.store.Save(t.Context(), current.Ref, queue.Progress{}))
	b.ok(b.store.Finish(t.Context(), current.Ref, queue.Outcome{State: queue.Sent}))
	b.want(b.store.Finish(t.Context(), current.Ref, queue.Outcome{State: queue.Sent}), queue.ErrFenced)
}

func finish(t *testing.T, b *bench) {
	for _, size := range []int{10, 1 << 20} {
		told := b.put(laneA, strings.Repeat("t", size))
		b.ok(b.store.Finish(t.Context(), b.claimOne().Ref, queue.Outcome{State: queue.Failed, Reason: "too_large", Discard: true}))
		_, err := b.store.Open(t.Context(), told)
		b.want(err, queue.ErrNotFound)
		b.want(b.store.Apply(t.Context(), told, queue.Retry, "anna"), queue.ErrState)
		b.ok(b.store.Apply(t.Context(), told, queue.Delete, "anna"))
		sent, failed := b.put(laneA, strings.Repeat("s", size)), b.put(laneA, strings.Repeat("f", size))
		for _, task := range b.claim(2, 2) {
			o := queue.Outcome{State: queue.Sent, Events: []queue.Event{{What: "accepted"}}}
			if task.ID == failed {
				o = queue.Outcome{State: queue.Failed, Reason: "invalid_recipients", Detail: "none"}
			}
			b.ok(b.store.Finish(t.Context(), task.Ref, o))
		}
		r, events := b.get(sent)
		if r.State != queue.Sent || r.Finished.IsZero() || len(events) != 1 {
			t.Errorf("the sent one is %+v with %v", r, events)
		}
		_, err = b.store.Open(t.Context(), sent)
		b.want(err, queue.ErrNotFound)
		r, _ = b.get(failed)
		if r.State != queue.Failed || r.Reason != "invalid_recipients" || len(b.body(failed)) != size {
			t.Errorf("the failed one is %+v", r)
		}
	}
}

func renewReclaims(t *testing.T, b *bench) {
	b.put(laneA, "x")
	task := b.claimOne() // by n1, which has no lease, or has lost it
	if b.store.Shared() {
		_, err := b.store.Renew(t.Context(), renewal("n1", 0))
		b.ok(err)
	}
	found, err := b.store.Renew(t.Context(), renewal("n2", time.Minute))
	b.ok(err)
	if found.Released != 1 {
		t.Fatalf("reclaimed %d of a node without a lease, want 1", found.Released)
	}
	b.want(b.store.Save(t.Context(), task.Ref, queue.Progress{}), queue.ErrFenced)
	_, err = b.store.Renew(t.Context(), renewal("n1", time.Minute))
	b.ok(err)
	task = b.claimOne()
	found, err = b.store.Renew(t.Context(), renewal("n2", time.Minute))
	b.ok(err)
	if found.Released != 0 {
		t.Fatalf("reclaimed %d of a living node", found.Released)
	}
	b.ok(b.store.Save(t.Context(), task.Ref, queue.Progress{}))
}

// apply takes a message through the actions of an operator.
func apply(t *testing.T, b *bench) {
	id := b.put(laneA, strings.Repeat("x", 1<<20))
	do := func(a queue.Action) error { return b.store.Apply(t.Context(), id, a, "anna") }
	b.want(do(queue.Release), queue.ErrState)
	b.ok(do(queue.Hold))
	if got := b.claim(1, 1); len(got) != 0 {
		t.Fatal("a held message was claimed")
	}
	r, events := b.get(id)
	if r.State != queue.Held || len(events) != 1 || !strings.Contains(events[0].Detail, "anna") {
		t.Errorf("held as %+v with %v", r, events)
	}
	b.ok(do(queue.Release))
	task := b.claimOne()
	b.want(do(queue.Delete), queue.ErrState)
	b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed}))
	b.ok(do(queue.Retry))
	b.ok(do(queue.Delete))
	b.isDeleted(id)
	for _, a := range []queue.Action{queue.Delete, queue.Retry, queue.Release, queue.Hold} {
		b.want(do(a), queue.ErrState)
	}
	b.want(b.store.Apply(t.Context(), queue.NewID(time.Now()), queue.Delete, "anna"), queue.ErrNotFound)
	if err := b.store.Apply(t.Context(), id, "burn", "anna"); err == nil {
		t.Error("an unknown action was taken")
	}
}

func restart(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	old := b.claimOne()
	b.reopen()
	task := b.claimOne()
	if task.ID != id || task.Ref.Fence <= old.Ref.Fence || !task.Progress.Leftover {
		t.Errorf("after a restart it was claimed as %+v", task)
	}
	b.want(b.store.Save(t.Context(), old.Ref, queue.Progress{}), queue.ErrFenced)
}

// loseClaim has the worker of one of two claims end without an outcome, as it does where that
// cannot be written and a reload ends its time.
func loseClaim(t *testing.T, b *bench) {
	_, err := b.store.Renew(t.Context(), renewal("n1", time.Hour))
	b.ok(err)
	b.put(laneA, "x")
	b.put(laneB, "x")
	tasks := b.claim(2, 1)
	b.store.Lost(tasks[0].Ref)
	found, err := b.store.Renew(t.Context(), renewal("n1", time.Hour))
	b.ok(err)
	if found.Released != 1 {
		t.Errorf("released %d messages, want the one without a worker", found.Released)
	}
	b.want(b.store.Save(t.Context(), tasks[0].Ref, queue.Progress{}), queue.ErrFenced)
	b.ok(b.store.Finish(t.Context(), tasks[1].Ref, queue.Outcome{State: queue.Sent}))
	if again := b.claimOne(); again.ID != tasks[0].ID || !again.Progress.Leftover {
		t.Errorf("claimed %+v, want the message whose claim was lost", again)
	}
}

// restored has an operator say that the queue was restored: what waits may have been delivered
// since, and whoever had it before is fenced.
func restored(t *testing.T, b *bench) {
	claimed, held, sent := b.put(laneA, "x"), b.put(laneA, "x"), b.put(laneB, "x")
	b.ok(b.store.Apply(t.Context(), held, queue.Hold, "anna"))
	var ref queue.Ref
	for _, task := range b.claim(10, 10) {
		if task.ID == sent {
			b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Sent}))
		} else {
			ref = task.Ref
		}
	}
	_, err := b.store.Renew(t.Context(), renewal("n1", time.Hour))
	b.ok(err)
	_, err = b.store.Restored(t.Context(), "anna")
	b.want(err, queue.ErrAtWork)
	b.ok(b.store.Leave(t.Context(), "n1"))
	waiting := b.put(laneB, "x")
	n, err := b.store.Restored(t.Context(), "anna")
	b.ok(err)
	if n != 3 {
		t.Errorf("%d messages may have been delivered, want 3", n)
	}
	b.want(b.store.Save(t.Context(), ref, queue.Progress{}), queue.ErrFenced)
	for id, want := range map[string]queue.State{claimed: queue.Queued, held: queue.Held, waiting: queue.Queued, sent: queue.Sent} {
		r, events := b.get(id)
		doubt := want != queue.Sent
		if r.State != want || r.Progress.InDoubt != doubt || doubt && (!r.Progress.Leftover || len(events) == 0 || !strings.Contains(events[len(events)-1].Detail, "anna")) {
			t.Errorf("it is %s, in doubt %v, %+v; want %s", r.State, r.Progress.InDoubt, events, want)
		}
	}
}
