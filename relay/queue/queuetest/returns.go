package queuetest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// sent puts a message and has it sent.
func (b *bench) sent(e queue.Entry) string {
	b.Helper()
	id := b.putEntry(e, "x")
	task := b.claimOne()
	if task.ID != id {
		b.Fatalf("claimed %s, want %s", task.ID, id)
	}
	b.finish(task.Ref, queue.Outcome{State: queue.Sent})
	return id
}

func returnOf(recipient string) queue.Return {
	return queue.Return{Recipient: recipient, At: time.Now().Truncate(time.Microsecond).UTC(), Code: "5.1.10", Diagnostic: "550 \"Ü\"", Report: "AAk=" + recipient}
}

// returned marks a message that has left: once for each recipient, with the notification in
// the same commit or not at all.
func returned(t *testing.T, b *bench) {
	mark := func(id string, n *queue.Submission, recipients ...string) error {
		r := queue.Bounced{Reason: reason.NotDelivered, Detail: "why", Notification: n, Events: []queue.Event{{What: "returned"}}}
		for _, to := range recipients {
			r.Returns = append(r.Returns, returnOf(to))
		}
		return b.store.MarkReturned(t.Context(), id, r)
	}
	absent := func(m *queue.Submission) {
		t.Helper()
		_, _, err := b.store.Get(t.Context(), m.ID)
		b.want(err, queue.ErrNotFound)
	}
	waiting := b.put(laneB, "x")
	lost := submission("lost")
	b.want(mark(waiting, lost, "x@example.test"), queue.ErrFenced)
	b.want(mark("0123456789abcdef", lost, "x@example.test"), queue.ErrFenced)
	absent(lost)
	b.ok(b.store.Apply(t.Context(), waiting, queue.Delete, "anna"))
	_, err := b.store.Expire(t.Context(), queue.Retention{})
	b.ok(err)

	id := b.sent(entry(laneA))
	before, _ := b.get(id)
	taken := submission("its ID is taken")
	taken.ID = id
	if err := mark(id, taken, "x@example.test"); err == nil {
		t.Fatal("a message was queued under an ID that is taken")
	}
	if r, _ := b.get(id); r.State != queue.Sent || len(r.Returns) != 0 {
		t.Errorf("without its notification it is %+v", r)
	}
	first := submission("first")
	b.ok(mark(id, first, "x@example.test"))
	b.want(mark(id, lost, "Ü@example.test", "x@example.test"), queue.ErrFenced)
	absent(lost)
	b.ok(mark(id, nil, "Ü@example.test"))
	b.reopen()
	r, events := b.get(id)
	if r.State != queue.Returned || r.Reason != reason.NotDelivered || r.Detail != "why" || len(events) != 2 || !r.Finished.Equal(before.Finished) {
		t.Errorf("returned as %+v with %v", r, events)
	}
	recipients := []string{}
	for _, x := range r.Returns {
		recipients = append(recipients, x.Recipient)
		want := returnOf(x.Recipient)
		if want.At = x.At; !reflect.DeepEqual(x, want) || time.Since(x.At) > time.Minute {
			t.Errorf("got %+v, want %+v", x, want)
		}
	}
	if !slices.Equal(recipients, []string{"x@example.test", "Ü@example.test"}) {
		t.Errorf("returned for %q", recipients)
	}
	if got := b.claimOne(); got.ID != first.ID {
		t.Errorf("claimed %+v, want the notification", got)
	}
	b.isOver(id)
}

// isOver checks that a returned message takes no room, waits for nothing, and is kept like a
// failed one.
func (b *bench) isOver(id string) {
	b.Helper()
	st, err := b.store.Stats(b.Context())
	b.ok(err)
	if st.Messages[queue.Returned] != 1 || st.Bytes != int64(len("first")) {
		b.Errorf("stats are %+v", st)
	}
	lanes, err := b.store.Lanes(b.Context())
	b.ok(err)
	for _, l := range lanes {
		if l.Messages[queue.Returned] != 0 {
			b.Errorf("it waits in %+v", l)
		}
	}
	b.want(b.store.Apply(b.Context(), id, queue.Retry, "anna"), queue.ErrState)
	for r, want := range map[queue.Retention]int{{Failed: time.Hour}: 0, {Sent: time.Hour, SentMessages: 10}: 1} {
		n, err := b.store.Expire(b.Context(), r)
		b.ok(err)
		if n != want {
			b.Errorf("%+v removed %d, want %d", r, n, want)
		}
	}
}

// leftAs finds messages by Message-ID, in their own lane and once they have left.
func leftAs(t *testing.T, b *bench) {
	find := func(l queue.Lane, messageID string) (ids []string) {
		t.Helper()
		list, err := b.store.LeftAs(t.Context(), l, messageID)
		b.ok(err)
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		return ids
	}
	e := entry(laneA)
	first := b.sent(e)
	time.Sleep(time.Millisecond)
	second := b.sent(e)
	e.MessageID = ""
	nameless := b.sent(e)
	b.sent(entry(laneB))
	e.MessageID = "<waits@x>"
	b.put(laneA, "x")
	b.ok(b.store.MarkReturned(t.Context(), first, queue.Bounced{Returns: []queue.Return{returnOf("x@example.test")}}))
	for _, tt := range []struct {
		lane queue.Lane
		id   string
		want []string
	}{
		{laneA, "<1@x>", []string{first, second}},
		{laneA, "<2@x>", nil},
		{laneA, "<waits@x>", nil},
		{laneA, "<" + nameless + "@relay.test>", []string{nameless}},
		{laneB, "<" + nameless + "@relay.test>", nil},
		{laneA, "<" + first + "@relay.test>", nil}, // it has a Message-ID of its own
		{laneA, "<" + strings.Repeat("0", 16) + "@relay.test>", nil},
		{queue.Lane{Connection: "other", Mailbox: laneA.Mailbox}, "<1@x>", nil},
		{laneA, "", nil},
	} {
		if got := find(tt.lane, tt.id); !slices.Equal(got, tt.want) {
			t.Errorf("%s in %s finds %q, want %q", tt.id, tt.lane, got, tt.want)
		}
	}
}

// reportsRead keeps for each lane that was served until when its reports were read.
func reportsRead(t *testing.T, b *bench) {
	start := time.Now()
	b.sent(entry(laneA))
	b.put(laneB, "x")
	until := time.Now().Add(-time.Minute).Truncate(time.Microsecond)
	b.ok(b.store.SetReportsRead(t.Context(), laneA, until))
	b.ok(b.store.SetReportsRead(t.Context(), queue.Lane{Connection: "gone", Mailbox: "x@contoso.test"}, until))
	b.reopen()
	list, err := b.store.ServedLanes(t.Context(), start.Add(-time.Second))
	b.ok(err)
	if len(list) != 1 || list[0].Lane != laneA || !list[0].ReportsRead.Equal(until) || list[0].Served.Before(start.Add(-time.Second)) {
		t.Errorf("the lanes are %+v", list)
	}
	list, err = b.store.ServedLanes(t.Context(), time.Now().Add(time.Minute))
	b.ok(err)
	if len(list) != 0 {
		t.Errorf("served in the future: %+v", list)
	}
	b.ok(b.store.Pause(t.Context(), laneA.Whole(), time.Now().Add(time.Hour), reason.Throttled))
	for l, want := range map[queue.Lane]bool{laneA: true, {Connection: "other", Mailbox: "a@contoso.test"}: false} {
		if paused, err := b.store.Paused(t.Context(), l); err != nil || paused != want {
			t.Errorf("%s paused: %v, %v", l, paused, err)
		}
	}
}

// sends lists what has left, with its recipients and when that was.
func sends(t *testing.T, b *bench) {
	b.sent(entry(laneB))
	time.Sleep(time.Millisecond)
	since := b.store.Now().Truncate(time.Microsecond)
	b.sent(entry(laneA))
	returned := b.sent(entry(laneA))
	b.ok(b.store.MarkReturned(t.Context(), returned, queue.Bounced{Returns: []queue.Return{returnOf("x@example.test")}}))
	b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Failed})
	b.put(laneA, "x")
	n := 0
	b.ok(b.store.Sends(t.Context(), since.Add(-time.Hour), since, func(s queue.Send) {
		n++
		if s.Lane != laneA || !slices.Equal(s.To, entry(laneA).Envelope.To) || s.At.Before(since) || b.store.Now().Before(s.At) {
			t.Errorf("sent: %+v", s)
		}
	}))
	b.ok(b.store.Sends(t.Context(), time.Now().Add(time.Hour), since, func(s queue.Send) { t.Errorf("arrived in the future: %+v", s) }))
	if n != 2 {
		t.Errorf("%d have left, want 2", n)
	}
}
