package queuetest

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// keptContent checks that the content of sent messages is kept where that is wanted, how it goes
// again, and that it can be sent again until then.
func keptContent(t *testing.T, b *bench) {
	const size = 200 << 10
	send := func(keep bool) string {
		id := b.put(laneA, strings.Repeat("x", size))
		b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent, Keep: keep})
		time.Sleep(time.Millisecond) // for an order
		return id
	}
	has := func(id string, want bool) {
		t.Helper()
		r, _ := b.get(id)
		body, err := b.store.Open(t.Context(), id)
		if err == nil {
			b.ok(body.Check())
			b.ok(body.Close())
		}
		if r.HasContent != want || (err == nil) != want {
			t.Errorf("%s has content: %v, %v; want %v", id, r.HasContent, err, want)
		}
	}
	expire := func(r queue.Retention) {
		t.Helper()
		r.Sent, r.SentMessages, r.Failed = time.Hour, 100, time.Hour
		n, err := b.store.Expire(t.Context(), r)
		b.ok(err)
		if n != 0 {
			t.Errorf("%d records were removed", n)
		}
	}
	has(send(false), false)
	returned, old, middle, last := send(true), send(true), send(true), send(true)
	mark := queue.Bounced{Returns: []queue.Return{returnOf("x@example.test")}}
	b.ok(b.store.MarkReturned(t.Context(), returned, mark))
	b.reopen()
	st, err := b.store.Stats(t.Context())
	b.ok(err)
	if st.Bytes != 0 {
		t.Errorf("%d bytes count as waiting", st.Bytes)
	}
	expire(queue.Retention{SentContent: time.Hour})
	for _, id := range []string{returned, old, middle, last} {
		has(id, true)
	}
	expire(queue.Retention{SentContent: time.Hour, LeftBytes: 3 * size})
	has(old, false)
	for _, id := range []string{returned, middle, last} {
		has(id, true)
	}
	expire(queue.Retention{})
	has(middle, false)
	has(last, false)
	has(returned, true)

	again, err := b.store.Resend(t.Context(), returned, []string{"y@example.test"}, "anna")
	b.ok(err)
	has(returned, false)
	if r, _ := b.get(returned); r.State != queue.Returned || len(r.Returns) != 1 {
		t.Errorf("the returned one is %+v", r)
	}
	task := b.claimOne()
	if task.ID != again {
		t.Errorf("claimed %s, want %s", task.ID, again)
	}
	b.finish(task.Ref, queue.Outcome{State: queue.Sent, Keep: true})
	if _, err := b.store.Resend(t.Context(), again, []string{"z@example.test"}, "anna"); err != nil {
		t.Errorf("what was sent, and is kept, cannot be sent again: %v", err)
	}
	if r, _ := b.get(again); r.State != queue.Sent || r.HasContent {
		t.Errorf("it is %s then, with content: %v", r.State, r.HasContent)
	}
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent})

	bad := send(true)
	b.ok(b.store.MarkReturned(t.Context(), bad, mark))
	expire(queue.Retention{SentContent: time.Hour, LeftBytes: size - 1})
	has(bad, false)
}
