package queuetest

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// ahead ends what lies further ahead than anything may, which a wrong clock has written, and
// lets the pauses of an operator be.
func ahead(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Deferred, Due: b.store.Now().Add(365 * 24 * time.Hour)})
	held := b.put(laneB, "x")
	waits := b.put(queue.Lane{Connection: "other", Mailbox: "c@contoso.test"}, "x")
	b.ok(b.store.Pause(t.Context(), laneA, b.store.Now().Add(365*24*time.Hour), reason.Throttled))
	b.ok(b.store.Pause(t.Context(), laneA.Whole(), b.store.Now().Add(queue.MaxPause+time.Minute), reason.Unavailable))
	b.ok(b.store.Pause(t.Context(), laneB, b.store.Now().Add(365*24*time.Hour), reason.Operator))
	b.ok(b.store.Pause(t.Context(), queue.Lane{Connection: "other"}, b.store.Now().Add(time.Hour), reason.Unavailable))
	if got := b.claim(10, 10); len(got) != 0 {
		t.Fatalf("claimed %v before", got)
	}
	if _, err := b.store.Renew(t.Context(), renewal("n1", time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := b.claimOne(); got.ID != id {
		t.Errorf("claimed %s, want %s, but neither %s nor %s", got.ID, id, held, waits)
	}
	if got := b.claim(10, 10); len(got) != 0 {
		t.Errorf("claimed %v from lanes that are paused for good reason", got)
	}
}

// clockGoes on where it was when the queue is opened again, and a message keeps its age.
func clockGoesOn(t *testing.T, b *bench) {
	b.put(laneA, "x")
	before := b.store.Now()
	b.reopen()
	if after := b.store.Now(); after.Before(before) || after.Sub(before) > time.Minute {
		t.Errorf("the clock went from %s to %s", before, after)
	}
	task := b.claimOne()
	if age := b.store.Now().Sub(task.Arrived); age < 0 || age > time.Minute {
		t.Errorf("the message is %s old", age)
	}
}
