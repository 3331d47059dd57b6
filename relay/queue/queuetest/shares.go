package queuetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// from is a source whose messages all go to lanes of their own.
func origin(user, client string, n int) queue.Origin {
	return queue.Origin{User: user, Client: client, Lane: queue.Lane{Connection: "contoso", Mailbox: fmt.Sprint(user, client, n, "@contoso.test")}}
}

// offer brings messages as a client does, until one is refused, and returns how many were
// taken.
func (b *bench) offer(l queue.Limits, source func(n int) queue.Origin) (taken int) {
	b.Helper()
	for n := range 2 * int(l.Messages) {
		s := source(n)
		if b.store.CheckCapacity(b.Context(), 1, l, s) != nil {
			return n
		}
		e := entry(s.Lane)
		e.User, e.Client = s.User, s.Client
		b.putEntry(e, "x")
	}
	b.Fatal("no message was refused")
	return 0
}

// shares keeps room for others when one client, or one lane, fills the queue.
func shares(t *testing.T, b *bench) {
	l := queue.Limits{Messages: 40, Bytes: 1 << 20}
	count := func() { // the queue is counted once a second
		b.reopen()
	}
	bulk := b.offer(l, func(n int) queue.Origin { return origin("", "192.0.2.1", n) })
	count()
	bulk += b.offer(l, func(n int) queue.Origin { return origin("", "192.0.2.1", n) })
	if bulk < 30 || bulk > 31 {
		t.Errorf("one client got %d places of 40", bulk)
	}
	if n := b.offer(l, func(n int) queue.Origin { return origin("crm", "192.0.2.1", n) }); n < 3 || n > 5 {
		t.Errorf("a user at its address got %d places", n)
	}
	lane := origin("", "", 0).Lane
	if n := b.offer(l, func(n int) queue.Origin {
		return queue.Origin{Client: fmt.Sprintf("2001:db8:%x::1", n), Lane: lane}
	}); n < 1 || n > 3 {
		t.Errorf("one lane got %d places", n)
	}
	if n := b.offer(l, func(n int) queue.Origin { return origin("", fmt.Sprintf("2001:db8::%x", n), n) }); n < 1 || n > 2 {
		t.Errorf("the addresses of one network got %d places", n)
	}
	if err := b.store.CheckCapacity(t.Context(), 1, l, origin("late", "192.0.2.9", 0)); err != nil {
		t.Errorf("who comes last: %v", err)
	}
}

// byteShares keeps room for others when one client, or one lane, fills the queue with few large
// messages.
func byteShares(t *testing.T, b *bench) {
	l := queue.Limits{Messages: 1000, Bytes: 40_000}
	fill := func(source func(n int) queue.Origin) (taken int) {
		t.Helper()
		for n := range 2 * 40 {
			s := source(n)
			if b.store.CheckCapacity(t.Context(), 1000, l, s) != nil {
				return n
			}
			e := entry(s.Lane)
			e.User, e.Client = s.User, s.Client
			b.putEntry(e, strings.Repeat("x", 1000))
		}
		t.Fatal("no message was refused")
		return 0
	}
	if n := fill(func(n int) queue.Origin { return origin("", "192.0.2.1", n) }); n < 30 || n > 31 {
		t.Errorf("one client got room for %d messages of 40", n)
	}
	lane := origin("", "", 0).Lane
	if n := fill(func(n int) queue.Origin { return queue.Origin{Client: fmt.Sprintf("192.0.2.%d", n+10), Lane: lane} }); n < 4 || n > 6 {
		t.Errorf("one lane got room for %d messages", n)
	}
	if err := b.store.CheckCapacity(t.Context(), 1000, l, origin("late", "192.0.2.9", 0)); err != nil {
		t.Errorf("who comes last: %v", err)
	}
}

// heldAndFailed do not take the places of mail that waits. Held mail stays, and stops none but
// its own client; failed mail goes, the oldest first.
func heldAndFailed(t *testing.T, b *bench) {
	l := queue.Limits{Messages: 8, Bytes: 1 << 20}
	end := func(state queue.State, source queue.Origin) string {
		e := entry(source.Lane)
		e.User, e.Client = source.User, source.Client
		id := b.putEntry(e, "x")
		b.finish(b.claimOne().Ref, queue.Outcome{State: state})
		return id
	}
	var failed []string
	for n := range 12 {
		end(queue.Held, origin("", "192.0.2.1", n))
		failed = append(failed, end(queue.Failed, origin("", "192.0.2.2", n)))
		time.Sleep(time.Millisecond) // for an order
	}
	b.reopen()
	b.want(b.store.CheckCapacity(t.Context(), 1, l, origin("", "192.0.2.1", 99)), queue.ErrFull)
	for _, client := range []string{"192.0.2.2", "192.0.2.3"} {
		b.ok(b.store.CheckCapacity(t.Context(), 1, l, origin("", client, 99)))
	}
	b.ok(b.store.CheckCapacity(t.Context(), 1, l, queue.Origin{}))
	keep := queue.Retention{Sent: time.Hour, SentMessages: 1, Failed: time.Hour, FailedMessages: 5, FailedBytes: 100}
	if n, err := b.store.Expire(t.Context(), keep); err != nil || n != 7 {
		t.Errorf("removed %d, %v", n, err)
	}
	keep.FailedMessages, keep.FailedBytes = 0, 3
	if n, err := b.store.Expire(t.Context(), keep); err != nil || n != 2 {
		t.Errorf("removed %d, %v", n, err)
	}
	list, err := b.store.List(t.Context(), queue.Filter{States: []queue.State{queue.Failed}})
	b.ok(err)
	if len(list) != 3 || list[0].ID != failed[9] {
		t.Errorf("of the failed ones there are %v", list)
	}
	st, err := b.store.Stats(t.Context())
	b.ok(err)
	if st.Messages[queue.Held] != 12 || st.FailedBytes != 3 {
		t.Errorf("stats are %+v", st)
	}
}
