package queuetest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// notes are there until they expire, for every node.
func notes(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	set := func(n queue.Note, keep time.Duration) {
		t.Helper()
		a.ok(a.store.SetNote(t.Context(), n, keep))
	}
	long := strings.Repeat("x", 100_000)
	set(queue.Note{Scope: "s", Key: "k", Value: "old"}, time.Hour)
	set(queue.Note{Scope: "s", Key: "k", Value: "new '\x00\""}, time.Hour)
	set(queue.Note{Scope: "s", Key: "long", Value: long}, time.Hour)
	set(queue.Note{Scope: "s", Key: "over", Value: "x"}, 0)
	set(queue.Note{Scope: "other", Key: "k", Value: "x"}, time.Hour)
	a.renew()
	got, err := b.store.Notes(t.Context(), "s")
	b.ok(err)
	if len(got) != 2 || got["k"] != "new '\x00\"" || got["long"] != long {
		t.Errorf("the other node reads %.100q", got)
	}
}

// waiting puts a message whose session waits for a verdict, and has node a claim it.
func (c *cluster) waiting(a *member, wait time.Duration) queue.Task {
	c.Helper()
	a.renew()
	e := entry(laneOf(0))
	e.Wait = wait
	return a.claimed(a.putEntry(e, "x"))
}

// claimed claims what is due, and returns the task of one message. It ends the others.
func (m *member) claimed(id string) (found queue.Task) {
	m.Helper()
	for _, t := range m.claim(4) {
		if t.ID == id {
			found = t
		} else {
			m.end(t)
		}
	}
	if found.ID == "" {
		m.Fatalf("%s is not claimed", id)
	}
	return found
}

// fail ends a claim with a refusal, and a notification in lane 1.
func (m *member) fail(t queue.Task) (notification string) {
	m.Helper()
	n := &queue.Submission{ID: queue.NewID(time.Now()), Entry: entry(laneOf(1)), Body: []byte("notification")}
	m.ok(m.store.Finish(m.Context(), t.Ref, queue.Outcome{State: queue.Failed, Reason: "invalid_message", Refusal: "no", Notifications: []*queue.Submission{n}}))
	return n.ID
}

// verdict returns the refusal that a session is told of.
func (m *member) verdict(id string) (refusal string, decided bool) {
	m.Helper()
	refusal, decided, err := m.store.Verdict(m.Context(), id)
	m.ok(err)
	return refusal, decided
}

// sessionWaits has the session on one node learn of the refusal that another has received.
func sessionWaits(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	task := c.waiting(a, time.Hour)
	if _, decided := b.verdict(task.ID); decided {
		t.Error("decided while the message is in delivery")
	}
	b.want(b.store.Told(t.Context(), task.ID), queue.ErrFenced)
	notification := a.fail(task)
	if r, _ := b.get(notification); r.State != queue.Deferred || !r.Due.After(time.Now().Add(time.Hour)) {
		t.Errorf("the notification is %s until %v", r.State, r.Due)
	}
	if refusal, decided := b.verdict(task.ID); refusal != "no" || !decided {
		t.Errorf("the verdict is %q, decided %t", refusal, decided)
	}
	for range 2 { // as after a lost answer
		b.ok(b.store.Told(t.Context(), task.ID))
	}
	_, _, err := b.store.Get(t.Context(), notification)
	b.want(err, queue.ErrNotFound)
	r, events := b.get(task.ID)
	if r.State != queue.Failed || r.HasContent || !slices.ContainsFunc(events, func(e queue.Event) bool { return e.What == "refused to the client" }) {
		t.Errorf("the message is %s, with content: %t, events %v", r.State, r.HasContent, events)
	}
	sent := c.waiting(a, time.Hour)
	a.end(sent)
	if refusal, decided := b.verdict(sent.ID); refusal != "" || !decided {
		t.Errorf("the verdict on a message that was sent is %q, decided %t", refusal, decided)
	}
}

// sessionLate is a session that no longer waits, or whose notification is on its way.
func sessionLate(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	task := c.waiting(a, 0)
	if r, _ := b.get(a.fail(task)); r.State != queue.Queued {
		t.Errorf("without a session that waits, the notification is %s", r.State)
	}
	over := c.waiting(a, time.Nanosecond)
	if r, _ := b.get(a.fail(over)); r.State != queue.Queued {
		t.Errorf("after the wait, the notification is %s", r.State)
	}
	for _, id := range []string{task.ID, over.ID} {
		if refusal, decided := b.verdict(id); refusal != "" || !decided {
			t.Errorf("the verdict is %q, decided %t", refusal, decided)
		}
		b.want(b.store.Told(t.Context(), id), queue.ErrFenced)
	}
	task = c.waiting(a, time.Hour)
	notification := a.fail(task)
	b.ok(b.store.Apply(t.Context(), notification, queue.Retry, "test"))
	b.want(b.store.Told(t.Context(), task.ID), queue.ErrFenced)
	if r, _ := b.get(task.ID); !r.HasContent {
		t.Error("the content of a message was removed of which nobody was told")
	}
	retried := c.waiting(a, time.Hour)
	a.fail(retried)
	b.ok(b.store.Apply(t.Context(), retried.ID, queue.Retry, "test"))
	b.want(b.store.Told(t.Context(), retried.ID), queue.ErrFenced)
	again := a.claimed(retried.ID) // is held, for another reason
	a.ok(a.store.Finish(t.Context(), again.Ref, queue.Outcome{State: queue.Held}))
	b.want(b.store.Told(t.Context(), retried.ID), queue.ErrFenced)
}

// toldOnce has the session accept a refusal while an operator lets the notification go.
func toldOnce(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	for range 20 {
		task := c.waiting(a, time.Hour)
		notification := a.fail(task)
		var wg sync.WaitGroup
		var told, sent error
		wg.Go(func() { told = b.store.Told(t.Context(), task.ID) })
		wg.Go(func() { sent = a.store.Apply(t.Context(), notification, queue.Retry, "test") })
		wg.Wait()
		if (told == nil) == (sent == nil) {
			t.Fatalf("telling the client gave %v, and sending the notification %v", told, sent)
		}
		a.end(a.claim(4)...)
	}
}
