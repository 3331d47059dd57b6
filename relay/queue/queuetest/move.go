package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// RunMove moves a queue from one engine to another, and interrupts that.
func RunMove(t *testing.T, from, to Open) {
	a, b := &bench{T: t, dir: t.TempDir(), open: from}, &bench{T: t, dir: t.TempDir(), open: to}
	a.store, b.store = from(t, a.dir), to(t, b.dir)
	t.Cleanup(func() { _, _ = a.store.Close(), b.store.Close() })
	expected := fillForMove(t, a)

	m := &queue.Mover{From: a.store, To: b.store, Name: "the other"}
	for round := range 3 { // twice interrupted
		ctx, cancel := context.WithCancel(t.Context())
		m.Progress = func(moved, of int64) {
			if of != int64(len(expected)) || round < 2 && moved >= int64(100*(round+1)) {
				cancel()
			}
		}
		moved, err := m.Move(ctx)
		cancel()
		if (err == nil) != (round == 2) || round == 2 && moved != int64(len(expected)) {
			t.Fatalf("round %d moved %d: %v", round, moved, err)
		}
		for _, q := range []*queue.Queue{a.store, b.store} {
			if err := q.Closed(t.Context()); (err == nil) != (round == 2 && q == b.store) {
				t.Fatalf("after round %d a queue is closed by %v", round, err)
			}
		}
		for _, q := range []*queue.Queue{a.store, b.store} {
			if round < 2 || q == a.store {
				wantClosed(t, q, round == 0)
			}
		}
	}
	compareMoved(t, a, b, expected)
	moveOrder(t, from, to)
	if _, err := m.Move(t.Context()); err == nil || !strings.Contains(err.Error(), "have been moved") {
		t.Errorf("moved again: %v", err)
	}
	other := &bench{T: t, dir: t.TempDir(), open: from}
	other.store = from(t, other.dir)
	defer other.store.Close()
	other.put(laneA, "x")
	if _, err := (&queue.Mover{From: other.store, To: b.store, Name: "b"}).Move(t.Context()); err == nil || other.store.Closed(t.Context()) != nil {
		t.Errorf("moved into a queue that has mail: %v", err)
	}
}

// wantClosed checks that nothing works on a closed queue. A node that was away when it was closed,
// and so did not hear of it, puts no message into it either: that is tried first, since Renew tells.
func wantClosed(t *testing.T, q *queue.Queue, first bool) {
	t.Helper()
	if first && q.Shared() {
		w, err := q.Create(t.Context())
		if err != nil {
			t.Fatalf("before it has heard of it: %v", err)
		}
		if err := w.Commit(t.Context(), entry(laneA)); err == nil {
			t.Error("a message is put into a closed queue")
		}
	}
	if _, err := q.Renew(t.Context(), renewal("n1", time.Minute)); err == nil {
		t.Error("a node may work on a closed queue")
	}
	if q.Healthy() == nil {
		t.Error("a node that knows of it would take mail")
	}
}

// moveOrder moves what a sender has sent, and has its next message come in its turn.
func moveOrder(t *testing.T, from, to Open) {
	a, b := &bench{T: t, dir: t.TempDir(), open: from}, &bench{T: t, dir: t.TempDir(), open: to}
	a.store, b.store = from(t, a.dir), to(t, b.dir)
	t.Cleanup(func() { _, _ = a.store.Close(), b.store.Close() })
	of := func(sender string) queue.Entry {
		e := entry(laneA)
		e.Envelope.From = sender
		return e
	}
	a.begin()
	for range 10 {
		a.putEntry(of("busy@contoso.test"), "x")
	}
	if sent := a.claimIDs(10); len(sent) != 10 {
		t.Fatalf("%d messages are sent", len(sent))
	}
	a.leave()
	if _, err := (&queue.Mover{From: a.store, To: b.store, Name: "b"}).Move(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		b.putEntry(of("other@contoso.test"), "x")
	}
	next := b.putEntry(of("busy@contoso.test"), "x")
	b.begin()
	tasks := b.claim(3, 3)
	if !slices.ContainsFunc(tasks, func(task queue.Task) bool { return task.ID == next }) {
		t.Errorf("a sender whose sent messages were moved waits behind all of another one")
	}
}

// fillForMove puts messages in all states, and returns the bodies that are kept by ID.
func fillForMove(t *testing.T, b *bench) map[string]string {
	bodies := map[string]string{}
	b.begin()
	defer b.leave()
	for i := range 230 {
		body := fmt.Sprintf("message %d", i)
		if i%100 == 7 {
			body = strings.Repeat(body, 30_000) // not in the record's transaction
		}
		e := entry(laneOf(i % 3))
		e.Envelope.From = fmt.Sprintf("%d@contoso.test", i%5)
		bodies[b.putEntry(e, body)] = body
	}
	states := []queue.State{queue.Sent, queue.Failed, queue.Held, queue.Deferred, queue.Queued}
	tasks := b.claim(60, 20)
	if len(tasks) != 60 {
		t.Fatalf("claimed %d messages", len(tasks))
	}
	for i, task := range tasks {
		o := queue.Outcome{State: states[i%len(states)], Due: b.store.Now().Add(time.Hour), Reason: "internal", Detail: "detail",
			Progress: queue.Progress{Document: []byte(`{"draft":"1"}`), Leftover: true}, Cleanup: i%len(states) == 1,
			Events: []queue.Event{{What: "tried", Detail: "once", RequestID: "r"}}}
		b.finish(task.Ref, o)
		if o.State == queue.Sent {
			bodies[task.ID] = ""
		}
	}
	b.ok(b.store.Pause(t.Context(), laneOf(0), b.store.Now().Add(time.Hour), reason.Throttled))
	b.ok(b.store.Pause(t.Context(), queue.Lane{Connection: "other"}, queue.Forever, reason.Operator))
	b.ok(b.store.SetReportsRead(t.Context(), laneOf(1), b.store.Now()))
	b.ok(b.store.SetAudit(t.Context(), queue.Audit{ID: queue.NewID(time.Now()), At: time.Now(), By: "anna", Action: "pause", On: "other", Changed: 1}))
	return bodies
}

func compareMoved(t *testing.T, a, b *bench, bodies map[string]string) {
	for id, body := range bodies {
		was, events := a.get(id)
		is, also := b.get(id)
		if len(also) != len(events) || len(events) > 0 && (also[0].What != events[0].What || also[0].RequestID != events[0].RequestID) {
			t.Errorf("%s had %v, has %v", id, events, also)
		}
		is.StartTag, is.Arrived, is.Due, is.Received, is.Finished, is.PausedUntil = was.StartTag, was.Arrived, was.Due, was.Received, was.Finished, was.PausedUntil
		if fmt.Sprintf("%+v", is) != fmt.Sprintf("%+v", was) {
			t.Errorf("it was\n%+v, it is\n%+v", was, is)
		}
		if body != "" && b.body(id) != body {
			t.Errorf("%s, %s, has another content", id, is.State)
		}
	}
	for name, of := range map[string]func(*bench) (string, error){
		"stats": func(x *bench) (string, error) {
			st, err := x.store.Stats(t.Context())
			return fmt.Sprintf("%v %d %d", st.Messages, st.Bytes, st.FailedBytes), err
		},
		"lanes": func(x *bench) (text string, err error) {
			lanes, err := x.store.Lanes(t.Context())
			for _, l := range lanes {
				text += fmt.Sprintf("%s %v %t %s\n", l.Lane, l.Messages, l.PausedUntil.IsZero(), l.PausedFor)
			}
			return text, err
		},
		"audits": func(x *bench) (string, error) {
			list, err := x.store.Audits(t.Context(), 10)
			return fmt.Sprintf("%d %s", len(list), list[0].On), err
		},
		"cleanups": func(x *bench) (string, error) {
			text, after := "", ""
			for {
				c, err := x.store.NextCleanup(t.Context(), after)
				if err != nil {
					return text, nil
				}
				after = c.ID
				text += c.ID + " " + c.Lane.String() + "\n"
			}
		},
	} {
		was, err := of(a)
		a.ok(err)
		is, err := of(b)
		b.ok(err)
		if is != was {
			t.Errorf("%s were\n%s, are\n%s", name, was, is)
		}
	}
}
