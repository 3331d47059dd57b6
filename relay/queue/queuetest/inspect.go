package queuetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func (b *bench) finish(ref queue.Ref, o queue.Outcome) {
	b.Helper()
	b.ok(b.store.Finish(b.Context(), ref, o))
}

func filters(t *testing.T, b *bench) {
	first := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Deferred, Reason: "network", Due: time.Now().Add(time.Hour)})
	between := time.Now()
	time.Sleep(time.Millisecond)
	e := entry(laneB)
	e.User, e.Subject, e.Client, e.From = "accounts", "Invoice (ß) for 100% of ÄRZTE and Κώστας", "2001:DB8::7", "Sales@shop.test"
	e.Envelope.To = []string{"x@example.test", `"a<b\"c"@d.test`, "müller@x.test", "\u212aim@example.test", "bad\xff@x.test"}
	second := b.putEntry(e, "x")
	both := []string{first, second}
	for _, tt := range []struct {
		f    queue.Filter
		want []string
	}{
		{queue.Filter{}, both},
		{queue.Filter{States: []queue.State{queue.Deferred, queue.Held}}, both[:1]},
		{queue.Filter{From: "A@Contoso"}, both},
		{queue.Filter{From: "%"}, nil},
		{queue.Filter{ID: first}, both[:1]},
		{queue.Filter{ID: strings.ToUpper(first[:9])}, same(first, second, 9)},
		{queue.Filter{ID: "zz"}, nil},
		{queue.Filter{ID: first, After: first}, nil},
		{queue.Filter{Client: "db8::7"}, both[1:]},
		{queue.Filter{Client: "127.0.0."}, both[:1]},
		{queue.Filter{To: `"A<b\"c`}, both[1:]},
		{queue.Filter{To: "MÜLLER"}, both[1:]},
		{queue.Filter{To: "kim@"}, both[1:]},
		{queue.Filter{To: `","`}, nil},
		{queue.Filter{To: "003c"}, nil},
		{queue.Filter{Text: "KIM@example"}, both[1:]},
		{queue.Filter{Text: "ärzte"}, both[1:]},
		{queue.Filter{Text: "sales@shop"}, both[1:]},
		{queue.Filter{Text: "a@contoso"}, both},
		{queue.Filter{Text: strings.ToUpper(first)}, both[:1]},
		{queue.Filter{Text: strings.ToUpper(entry(laneA).MessageID)}, both},
		{queue.Filter{Text: "accounts"}, nil},
		{queue.Filter{Text: "1aff"}, nil},
		{queue.Filter{Text: "sales", Client: "127.0.0."}, nil},
		{queue.Filter{Since: between.Add(-48 * time.Hour), Before: between.Add(48 * time.Hour)}, both},
		{queue.Filter{Before: between.Add(-48 * time.Hour)}, nil},
		{queue.Filter{Since: time.Unix(-1, 0), Before: queue.Forever}, both},
		{queue.Filter{Newest: true}, []string{second, first}},
		{queue.Filter{Newest: true, Text: "@"}, []string{second, first}},
		{queue.Filter{Newest: true, After: second}, both[:1]},
		{queue.Filter{Newest: true, After: first}, nil},
		{queue.Filter{Newest: true, Limit: 1}, both[1:]},
		{queue.Filter{Newest: true, States: []queue.State{queue.Deferred}, After: second}, both[:1]},
		{queue.Filter{MessageID: entry(laneA).MessageID, Newest: true, States: []queue.State{queue.Queued}}, both[1:]},
		{queue.Filter{To: "X@EXAMPLE.test"}, both},
		{queue.Filter{To: `"x@example.test"`}, nil},
		{queue.Filter{Lane: laneB.String()}, both[1:]},
		{queue.Filter{Lane: "contoso"}, both},
		{queue.Filter{Lane: "contos"}, nil},
		{queue.Filter{Reasons: []reason.Reason{"throttled", "network"}}, both[:1]},
		{queue.Filter{Before: between}, both[:1]},
		{queue.Filter{Before: between, Reasons: []reason.Reason{"network"}, Lane: laneA.String(), From: "a@", To: "x@", States: queue.States()}, both[:1]},
		{queue.Filter{Since: between}, both[1:]},
		{queue.Filter{User: "ACCOUNTS"}, both[1:]},
		{queue.Filter{User: "account"}, nil},
		{queue.Filter{Subject: "invoice (ß"}, both[1:]},
		{queue.Filter{Subject: "0%"}, both[1:]},
		{queue.Filter{Subject: "ärzte AND ΚΏΣΤΑΣ"}, both[1:]},
		{queue.Filter{Subject: "arzte"}, nil},
		{queue.Filter{Subject: "_"}, nil},
		{queue.Filter{HasContent: true}, both},
		{queue.Filter{After: first}, both[1:]},
		{queue.Filter{After: first, States: queue.States()}, both[1:]},
		{queue.Filter{After: second}, nil},
		{queue.Filter{Limit: 1}, both[:1]},
		{queue.Filter{MessageID: entry(laneA).MessageID}, both},
		{queue.Filter{MessageID: "<other@x>"}, nil},
	} {
		list, err := b.store.List(t.Context(), tt.f)
		b.ok(err)
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v lists %q, want %q", tt.f, got, tt.want)
		}
		found, err := b.store.Search(t.Context(), tt.f, time.Hour)
		b.ok(err)
		if len(found.Records) != len(list) || len(list) > 0 && found.Records[0].ID != list[0].ID || found.Looked != "" {
			t.Errorf("%+v finds %d messages up to %q, and lists %d", tt.f, len(found.Records), found.Looked, len(list))
		}
		n, err := b.store.Count(t.Context(), tt.f)
		b.ok(err)
		if tt.f.Limit == 0 && n != int64(len(tt.want)) || tt.f.Limit > 0 && n != 2 {
			t.Errorf("%+v counts %d, want %d", tt.f, n, len(tt.want))
		}
	}
}

// same returns those of two texts that begin with the first n bytes of the first one.
func same(a, b string, n int) []string {
	if a[:n] == b[:n] {
		return []string{a, b}
	}
	return []string{a}
}

// searchWithin checks that a search whose time is over goes on where it was, and in the end has
// found each message once.
func searchWithin(t *testing.T, b *bench) {
	var want []string
	for i := range 3000 {
		e := entry(laneA)
		if i%500 == 0 {
			e.Subject = "rare"
		}
		id := b.putEntry(e, "x")
		if i%500 == 0 {
			want = append(want, id)
		}
	}
	for _, newest := range []bool{false, true} {
		f := queue.Filter{Subject: "RARE", Newest: newest, Limit: 2}
		var got []string
		for parts := 0; ; parts++ {
			found, err := b.store.Search(t.Context(), f, time.Nanosecond)
			b.ok(err)
			for _, r := range found.Records {
				got = append(got, r.ID)
			}
			switch {
			case found.Looked != "":
				f.After = found.Looked
			case len(found.Records) == f.Limit:
				f.After = got[len(got)-1]
			}
			if found.Looked == "" && len(found.Records) < f.Limit || parts > 3000 {
				break
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("newest first %v: found %q, want %q", newest, got, want)
		}
	}
}

func receipts(t *testing.T, b *bench) {
	b.put(laneA, "x")
	time.Sleep(time.Millisecond)
	since := b.store.Wall(b.store.Now()).Truncate(time.Microsecond)
	for _, state := range []queue.State{queue.Sent, queue.Failed, queue.Held, queue.Deferred, queue.Queued} {
		b.put(laneB, "x")
		for _, task := range b.claim(2, 2) {
			if task.Lane == laneB {
				b.finish(task.Ref, queue.Outcome{State: state, Due: time.Now().Add(time.Hour)})
			}
		}
	}
	b.put(laneB, "x")
	n, e := 0, entry(laneB)
	b.ok(b.store.Receipts(t.Context(), since, func(r queue.Receipt) {
		n++
		if r.Received.Before(since) || time.Since(r.Received) > time.Minute {
			t.Errorf("received at %v, not since %v", r.Received, since)
		}
		want := queue.Receipt{Received: r.Received, Sender: e.Envelope.From, From: e.From, ReplyTo: e.ReplyTo, User: e.User, Client: e.Client, Recipients: 2}
		if r != want {
			t.Errorf("got %+v, want %+v", r, want)
		}
	}))
	if n != 6 {
		t.Errorf("%d receipts, want 6", n)
	}
}

func lanes(t *testing.T, b *bench) {
	b.put(laneA, "x")
	b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent})
	task := b.claimOne()
	until := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	b.ok(b.store.Pause(t.Context(), laneA, until, "throttled"))
	b.ok(b.store.Pause(t.Context(), queue.Lane{Connection: "other"}, queue.Forever, reason.Operator))
	b.finish(task.Ref, queue.Outcome{State: queue.Deferred, Reason: "throttled", Due: until})
	list, err := b.store.Lanes(t.Context())
	b.ok(err)
	if len(list) != 2 || list[0].Lane != laneA || list[0].Messages[queue.Deferred] != 1 || list[0].Messages[queue.Sent] != 0 ||
		!list[0].PausedUntil.Equal(until) || list[0].PausedFor != "throttled" || time.Since(list[0].Oldest) > time.Minute {
		t.Fatalf("the lanes are %+v", list)
	}
	if list[1].Connection != "other" || list[1].Mailbox != "" || !list[1].PausedUntil.Equal(queue.Forever) || len(list[1].Messages) != 0 {
		t.Errorf("the paused connection is %+v", list[1])
	}
	if got := b.claim(1, 1); len(got) != 0 {
		t.Error("claimed from a paused lane")
	}
	shown, err := b.store.List(t.Context(), queue.Filter{})
	b.ok(err)
	for _, r := range shown {
		if want := r.State == queue.Deferred; r.PausedUntil.Equal(until) != want || r.PausedUntil.IsZero() == want {
			t.Errorf("%s is paused until %v", r.State, r.PausedUntil)
		}
	}
	if r, _ := b.get(task.ID); !r.PausedUntil.Equal(until) {
		t.Errorf("it is paused until %v", r.PausedUntil)
	}
	b.ok(b.store.Resume(t.Context(), laneA))
	b.want(b.store.Resume(t.Context(), laneA), queue.ErrNotFound)
	if r, _ := b.get(task.ID); !r.PausedUntil.IsZero() {
		t.Errorf("after its pause it is paused until %v", r.PausedUntil)
	}
	if got := b.claimOne(); got.ID != task.ID {
		t.Error("what the pause deferred was not claimed after it")
	}
	b.ok(b.store.Resume(t.Context(), queue.Lane{Connection: "other"}))
	b.ok(b.store.Pause(t.Context(), laneB, queue.Forever, reason.Operator))
	b.ok(b.store.Apply(t.Context(), b.put(laneB, "x"), queue.Retry, "anna"))
	if got := b.claim(1, 1); len(got) != 0 {
		t.Error("a retry ended a pause by hand")
	}
}

// principals checks that the lanes of one connection's principals are lanes of their own.
func principals(t *testing.T, b *bench) {
	lane := func(principal string) queue.Lane {
		return queue.Lane{Connection: "tenants", Principal: principal, Mailbox: "m@contoso.test"}
	}
	ids := map[string]string{}
	for _, p := range []string{"", "anna@contoso.test", "bert@contoso.test"} {
		ids[p] = b.put(lane(p), "x")
	}
	if r, _ := b.get(ids["anna@contoso.test"]); r.Lane != lane("anna@contoso.test") || queue.ParseLane(r.Lane.String()) != r.Lane {
		t.Errorf("the lane came back as %s", r.Lane)
	}
	for _, f := range []string{"tenants+anna@contoso.test", "tenants+anna@contoso.test/m@contoso.test"} {
		list, err := b.store.List(t.Context(), queue.Filter{Lane: f})
		b.ok(err)
		if len(list) != 1 || list[0].ID != ids["anna@contoso.test"] {
			t.Errorf("the filter %s lists %+v", f, list)
		}
	}
	b.ok(b.store.Pause(t.Context(), lane(""), queue.Forever, reason.Operator))
	b.ok(b.store.Pause(t.Context(), lane("anna@contoso.test").Whole(), queue.Forever, reason.Throttled))
	if tasks := b.claim(10, 10); len(tasks) != 1 || tasks[0].ID != ids["bert@contoso.test"] {
		t.Errorf("with the others paused, claimed %+v", tasks)
	}
	list, err := b.store.Lanes(t.Context())
	b.ok(err)
	if len(list) != 4 { // three with a message, one that is paused as a whole
		t.Errorf("the lanes are %+v", list)
	}
	b.ok(b.store.Resume(t.Context(), lane("anna@contoso.test").Whole()))
	if tasks := b.claim(10, 10); len(tasks) != 1 || tasks[0].ID != ids["anna@contoso.test"] {
		t.Errorf("after the pause of anna, claimed %+v", tasks)
	}
}

// pausedConnection checks that the pause of a connection holds the lanes of its principals,
// those that are new too, and ends for them all.
func pausedConnection(t *testing.T, b *bench) {
	lane := func(principal string) queue.Lane {
		return queue.Lane{Connection: "tenants", Principal: principal, Mailbox: "m@contoso.test"}
	}
	whole := queue.Lane{Connection: "tenants"}
	early := b.put(lane("anna@contoso.test"), "x")
	b.ok(b.store.Pause(t.Context(), whole, queue.Forever, reason.Operator))
	b.put(lane("bert@contoso.test"), "x")
	b.ok(b.store.Pause(t.Context(), lane("anna@contoso.test").Whole(), b.store.Now().Add(time.Hour), reason.Throttled))
	b.ok(b.store.Apply(t.Context(), early, queue.Retry, "anna")) // ends the pause of the principal alone
	other := b.put(laneA, "x")
	if task := b.claimOne(); task.ID != other {
		t.Errorf("with the connection paused, claimed %+v", task)
	} else {
		b.finish(task.Ref, queue.Outcome{State: queue.Sent})
	}
	if tasks := b.claim(10, 10); len(tasks) != 0 {
		t.Errorf("with the connection paused, claimed %+v", tasks)
	}
	for l, want := range map[queue.Lane]bool{lane("anna@contoso.test"): true, lane(""): true, laneA: false} {
		if paused, err := b.store.Paused(t.Context(), l); err != nil || paused != want {
			t.Errorf("%s paused: %v, %v", l, paused, err)
		}
	}
	b.reopen()
	if tasks := b.claim(10, 10); len(tasks) != 0 {
		t.Errorf("with the connection paused, claimed %+v after a restart", tasks)
	}
	b.ok(b.store.Resume(t.Context(), whole))
	tasks := b.claim(10, 10)
	if len(tasks) != 2 {
		t.Fatalf("after the pause, claimed %+v", tasks)
	}
	due := b.store.Now().Add(time.Hour)
	b.ok(b.store.Pause(t.Context(), whole, due, reason.Unavailable))
	b.finish(tasks[0].Ref, queue.Outcome{State: queue.Deferred, Reason: reason.Unavailable, Due: due})
	b.ok(b.store.Resume(t.Context(), whole))
	if got := b.claimOne(); got.ID != tasks[0].ID {
		t.Error("what the pause deferred was not claimed after it")
	}
	b.ok(b.store.Pause(t.Context(), whole, due, reason.Unavailable))
	waiting := b.put(lane("anna@contoso.test"), "x")
	b.ok(b.store.Apply(t.Context(), waiting, queue.Retry, "anna"))
	if got := b.claim(10, 10); len(got) != 1 {
		t.Errorf("a retry did not end the pause of the connection: claimed %+v", got)
	}
}

// capacity checks the limits of what the queue takes.
func capacity(t *testing.T, b *bench) {
	ask := func(size int64, l queue.Limits) error {
		return b.store.CheckCapacity(t.Context(), size, l, queue.Origin{})
	}
	b.ok(ask(1, queue.Limits{}))
	b.ok(ask(5, queue.Limits{Messages: 1, Bytes: 5, FreeSpace: 1}))
	b.put(laneA, "12345")
	b.want(ask(1, queue.Limits{Messages: 1}), queue.ErrFull)
	b.ok(ask(1, queue.Limits{Messages: 2}))
	b.want(ask(1, queue.Limits{Bytes: 5}), queue.ErrFull)
	b.ok(ask(1, queue.Limits{Bytes: 6}))
	b.want(ask(1<<60, queue.Limits{}), queue.ErrNoSpace)
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent})
	b.eventually("capacity after the message was sent", func() bool { return ask(5, queue.Limits{Messages: 1, Bytes: 5}) == nil })
	b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Failed})
	b.reopen()
	b.ok(ask(1, queue.Limits{Messages: 1, Bytes: 1})) // what has failed keeps nobody out
}

func (b *bench) eventually(what string, is func() bool) {
	b.Helper()
	for range 3000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatalf("no %s", what)
}

func expire(t *testing.T, b *bench) {
	const messages = 450 // more than one step removes
	large := strings.Repeat("x", 200<<10)
	end := func(state queue.State, body string) string {
		id := b.put(laneA, body)
		b.finish(b.claimOne().Ref, queue.Outcome{State: state, Events: []queue.Event{{What: "ended"}}})
		return id
	}
	var sent []string
	for range messages {
		sent = append(sent, end(queue.Sent, "x"))
	}
	failed := end(queue.Failed, large)
	waiting := b.put(laneA, "x")
	gone := func(id string) bool {
		_, _, err := b.store.Get(t.Context(), id)
		if err == nil {
			return false
		}
		b.want(err, queue.ErrNotFound)
		return true
	}
	count := func(r queue.Retention, want int) {
		t.Helper()
		n, err := b.store.Expire(t.Context(), r)
		b.ok(err)
		if n != want {
			t.Fatalf("%+v removed %d, want %d", r, n, want)
		}
	}
	deleted := b.put(laneA, "x")
	b.ok(b.store.Apply(t.Context(), deleted, queue.Delete, "anna"))
	long := queue.Retention{Sent: time.Hour, SentMessages: messages, Failed: time.Hour}
	count(long, 0)
	long.SentMessages = 10
	count(long, messages-10)
	if !gone(sent[messages-11]) || gone(sent[messages-10]) || gone(failed) {
		t.Error("not the oldest were removed")
	}
	if gone(deleted) {
		t.Error("a deleted message was removed before its time")
	}
	count(queue.Retention{Sent: 0, SentMessages: 10, Failed: time.Hour}, 10+1)
	later := b.put(laneA, "x")
	b.ok(b.store.Apply(t.Context(), later, queue.Delete, "anna"))
	count(queue.Retention{Sent: time.Hour, SentMessages: 0, Failed: time.Hour}, 1)
	if !gone(deleted) || !gone(later) {
		t.Error("a deleted message was kept beyond its time")
	}
	count(queue.Retention{Sent: time.Hour, SentMessages: 10}, 1)
	_, err := b.store.Open(t.Context(), failed)
	b.want(err, queue.ErrNotFound)
	if !gone(failed) || gone(waiting) {
		t.Error("a message that waits was removed, or one that failed long ago was not")
	}
}
