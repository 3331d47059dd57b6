package queuetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

func submission(body string) *queue.Submission {
	return &queue.Submission{ID: queue.NewID(time.Now()), Entry: queue.Entry{Lane: laneB, Envelope: queue.Envelope{To: []string{"a@contoso.test"}}},
		Body: []byte(body), Events: []queue.Event{{What: "bounce of"}}}
}

// notification ends messages with a notification, which is a message like any other.
func notification(t *testing.T, b *bench) {
	for _, size := range []int{0, 10, 1 << 20} {
		b.put(laneA, "x")
		task := b.claimOne()
		next := submission(strings.Repeat("b", size))
		b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed, Reason: "too_large", Notifications: []*queue.Submission{next}}))
		b.reopen()
		r, events := b.get(next.ID)
		if r.State != queue.Queued || r.Envelope.From != "" || r.Lane != laneB || r.Size != int64(size) || len(events) != 1 || events[0].What != "bounce of" {
			t.Errorf("the notification is %+v with %v", r, events)
		}
		if got := b.body(next.ID); got != string(next.Body) {
			t.Errorf("its %d bytes came back as %d", size, len(got))
		}
		claimed := b.claimOne()
		if claimed.ID != next.ID {
			t.Fatalf("claimed %s, want %s", claimed.ID, next.ID)
		}
		b.ok(b.store.Finish(t.Context(), claimed.Ref, queue.Outcome{State: queue.Sent}))
		_, err := b.store.Open(t.Context(), next.ID)
		b.want(err, queue.ErrNotFound)
	}
}

// notificationAtomic checks that the end of a message and its notification are committed
// together or not at all.
func notificationAtomic(t *testing.T, b *bench) {
	id := b.put(laneA, "x")
	old := b.claimOne()
	b.ok(b.store.Apply(t.Context(), id, queue.Hold, "test"))
	lost := submission("lost")
	b.want(b.store.Finish(t.Context(), old.Ref, queue.Outcome{State: queue.Failed, Notifications: []*queue.Submission{lost}}), queue.ErrFenced)
	_, _, err := b.store.Get(t.Context(), lost.ID)
	b.want(err, queue.ErrNotFound)

	b.ok(b.store.Apply(t.Context(), id, queue.Release, "test"))
	task := b.claimOne()
	impossible := submission("its ID is taken")
	impossible.ID = id
	if err := b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed, Notifications: []*queue.Submission{impossible}}); err == nil {
		t.Fatal("a message was queued under an ID that is taken")
	}
	if r, events := b.get(id); r.State != queue.Delivering || r.Reason != "" || len(events) != 2 {
		t.Errorf("without its notification it ended: %+v with %v", r, events)
	}
	next := submission("next")
	b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed, Notifications: []*queue.Submission{next}}))
	b.want(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed, Notifications: []*queue.Submission{submission("again")}}), queue.ErrFenced)
	all, err := b.store.List(t.Context(), queue.Filter{})
	b.ok(err)
	if r, _ := b.get(id); len(all) != 2 || r.State != queue.Failed || !slices.ContainsFunc(all, func(r queue.Record) bool { return r.ID == next.ID }) {
		t.Errorf("the queue holds %+v", all)
	}
}

// submit queues a message of the relay's own once, however often it is asked to.
func submit(t *testing.T, b *bench) {
	m := submission("an alert")
	for range 2 {
		b.ok(b.store.Submit(t.Context(), m))
		b.reopen()
	}
	if r, events := b.get(m.ID); r.State != queue.Queued || r.Lane != laneB || len(events) != 1 || b.body(m.ID) != "an alert" {
		t.Errorf("the message is %+v with %v", r, events)
	}
	task := b.claimOne()
	b.ok(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Sent}))
	b.ok(b.store.Submit(t.Context(), m))
	if r, _ := b.get(m.ID); r.State != queue.Sent {
		t.Errorf("it is %s after it was sent", r.State)
	}
}
