package queuetest

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// resend checks that a message is sent again as another one, and that only one of the two can go out.
func resend(t *testing.T, b *bench) {
	large := strings.Repeat("0123456789abcdef", 20<<10)
	for _, state := range []queue.State{queue.Failed, queue.Held} {
		for _, content := range []string{"small", large} {
			id := b.put(laneA, content)
			b.finish(b.claimOne().Ref, queue.Outcome{State: state, Reason: "invalid_recipients", Detail: "no", Due: time.Now(), Progress: queue.Progress{Leftover: true}})
			to := []string{"Ü@example.test", "other@example.test"}
			again, err := b.store.Resend(t.Context(), id, to, "anna")
			b.ok(err)
			first, events := b.get(id)
			want := state
			if state == queue.Held {
				want = queue.Deleted
			}
			if first.State != want || first.HasContent || !strings.Contains(events[len(events)-1].Detail, again) {
				t.Errorf("the first one is %s, with content %v: %+v", first.State, first.HasContent, events)
			}
			b.want(b.store.Apply(t.Context(), id, queue.Retry, "anna"), queue.ErrState)
			if _, err := b.store.Resend(t.Context(), id, to, "anna"); err == nil {
				t.Error("it was sent again twice")
			}
			b.reopen()
			task := b.claimOne()
			if task.ID != again || len(task.Envelope.To) != 2 || task.Envelope.To[1] != to[1] || task.Attempts != 1 || task.Progress.Leftover || len(task.Progress.Document) > 0 ||
				len(task.Envelope.DSN.Recipients) != 1 || task.Subject != first.Subject || task.MessageID != first.MessageID || task.Trace != first.Trace || task.From != first.From {
				t.Errorf("the other one is %+v", task.Record)
			}
			if is, _ := b.get(again); is.Reception != first.Reception {
				t.Errorf("the other one came as %+v, want %+v", is.Reception, first.Reception)
			}
			if _, events := b.get(again); len(events) != 1 || !strings.Contains(events[0].Detail, id) || !strings.Contains(events[0].Detail, "anna") {
				t.Errorf("the history of the other one is %+v", events)
			}
			body, err := b.store.Open(t.Context(), again)
			b.ok(err)
			got := make([]byte, body.Size())
			_, err = body.ReadAt(got, 0)
			b.ok(err)
			b.ok(body.Check())
			b.ok(body.Close())
			if string(got) != content {
				t.Errorf("it has %d bytes, want %d", len(got), len(content))
			}
			b.finish(task.Ref, queue.Outcome{State: queue.Sent})
		}
	}
	for _, state := range []queue.State{queue.Queued, queue.Deferred, queue.Sent} {
		id := b.put(laneA, "x")
		task := b.claimOne()
		_, err := b.store.Resend(t.Context(), id, []string{"x@example.test"}, "anna")
		b.want(err, queue.ErrState) // it is in delivery
		b.finish(task.Ref, queue.Outcome{State: state, Due: time.Now().Add(time.Hour)})
		_, err = b.store.Resend(t.Context(), id, []string{"x@example.test"}, "anna")
		b.want(err, queue.ErrState)
		b.ok(b.store.Apply(t.Context(), id, queue.Delete, "anna"))
	}
	_, err := b.store.Resend(t.Context(), "0000000000000000", []string{"x@example.test"}, "anna")
	b.want(err, queue.ErrNotFound)
}
