// Package queuetest is the conformance suite that every queue engine passes.
package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// Open opens the engine on dir as the daemon does. The suite closes it.
type Open func(t *testing.T, dir string) *queue.Queue

// Run runs the suite.
func Run(t *testing.T, open Open) {
	tests := map[string]func(*testing.T, *bench){
		"accept and read back":           acceptAndRead,
		"abort leaves nothing":           abort,
		"view":                           view,
		"claim lanes in turn":            claimLanesInTurn,
		"claim within the lane":          claimWithinLane,
		"claim what is due":              claimDue,
		"new and deferred alternate":     claimNewAndDeferred,
		"the fewest in delivery first":   fewestFirst,
		"unresponsive lanes":             unresponsive,
		"memory of claims":               memoryOfClaims,
		"senders share a lane":           sendersShare,
		"runs share a lane":              runsShare,
		"progress survives":              progressSurvives,
		"fence":                          fence,
		"finish":                         finish,
		"notification":                   notification,
		"notification, all or nothing":   notificationAtomic,
		"submit":                         submit,
		"overdue":                        overdue,
		"warned once":                    warned,
		"returned":                       returned,
		"left as":                        leftAs,
		"reports read":                   reportsRead,
		"sends":                          sends,
		"pause":                          pause,
		"renew reclaims":                 renewReclaims,
		"apply":                          apply,
		"apply to all":                   applyToAll,
		"audits":                         audits,
		"sent again":                     resend,
		"content of what was sent":       keptContent,
		"apply to what has content":      contentIsGone,
		"restart gives claims back":      restart,
		"renewal gives lost claims back": loseClaim,
		"a queue that was restored":      restored,
		"stats":                          stats,
		"filters":                        filters,
		"a search within a time":         searchWithin,
		"receipts":                       receipts,
		"lanes":                          lanes,
		"a claim ends the one before":    claimEndsTheOneBefore,
		"lanes of principals":            principals,
		"a paused connection":            pausedConnection,
		"capacity":                       capacity,
		"expire":                         expire,
		"cleanup of the deleted":         cleanupOfDeleted,
		"cleanup of the ended":           cleanupOfEnded,
		"a late end of a cleanup":        lateCleanup,
		"many producers and consumers":   concurrent,
		"wake":                           wake,
		"what lies too far ahead":        ahead,
		"shares":                         shares,
		"shares of bytes":                byteShares,
		"held and failed":                heldAndFailed,
		"the clock goes on":              clockGoesOn,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := &bench{T: t, dir: t.TempDir(), open: open}
			b.store = open(t, b.dir)
			b.begin()
			t.Cleanup(func() { _ = b.store.Close() })
			test(t, b)
		})
	}
}

type bench struct {
	*testing.T
	dir   string
	open  Open
	store *queue.Queue
}

func (b *bench) reopen() {
	b.Helper()
	b.ok(b.store.Close())
	b.store = b.open(b.T, b.dir)
	b.begin()
}

// begin gives the only node of a queue that could be shared a lease.
func (b *bench) begin() {
	b.Helper()
	if b.store.Shared() {
		_, err := b.store.Renew(b.Context(), renewal("n1", time.Hour))
		b.ok(err)
	}
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) want(err, target error) {
	b.Helper()
	if !errors.Is(err, target) {
		b.Fatalf("got %v, want %v", err, target)
	}
}

var laneA = queue.Lane{Connection: "contoso", Mailbox: "a@contoso.test"}
var laneB = queue.Lane{Connection: "contoso", Mailbox: "b@contoso.test"}

func entry(l queue.Lane) queue.Entry {
	return queue.Entry{
		Envelope: queue.Envelope{From: "a@contoso.test", To: []string{"x@example.test", "Ü@example.test"}, UTF8: true, DSN: queue.DSN{
			Return: "FULL", EnvelopeID: "id +=\"", Recipients: map[string]queue.RecipientDSN{"Ü@example.test": {Notify: []string{"SUCCESS", "DELAY"}, Original: "utf-8;Ü@old.test"}},
		}},
		Lane: l, From: "shown@contoso.test", Sender: "sender@contoso.test", ReplyTo: "reply@contoso.test", Fallback: "fallback@contoso.test", Signature: "sales", Subject: "subject \x00'\"",
		MessageID: "<1@x>", Listener: "devices", User: "crm", Client: "127.0.0.1", Trace: 3,
		Reception: queue.Reception{HELO: "client.test", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Took: 1500 * time.Millisecond},
	}
}

func (b *bench) put(l queue.Lane, body string) string {
	b.Helper()
	return b.putEntry(entry(l), body)
}

func (b *bench) putEntry(e queue.Entry, body string) string {
	b.Helper()
	w, err := b.store.Create(b.Context())
	b.ok(err)
	_, err = io.WriteString(w, body)
	b.ok(err)
	b.ok(w.Commit(b.Context(), e))
	return w.ID()
}

func (b *bench) claim(limit, perLane int) []queue.Task {
	b.Helper()
	tasks, _, err := b.store.Claim(b.Context(), queue.Claim{Node: "n1", Max: limit, PerLane: perLane})
	b.ok(err)
	return tasks
}

func (b *bench) claimOne() queue.Task {
	b.Helper()
	tasks := b.claim(1, 10)
	if len(tasks) != 1 {
		b.Fatalf("claimed %d messages, want 1", len(tasks))
	}
	return tasks[0]
}

func (b *bench) get(id string) (queue.Record, []queue.Event) {
	b.Helper()
	r, events, err := b.store.Get(b.Context(), id)
	b.ok(err)
	return r, events
}

func (b *bench) body(id string) string {
	b.Helper()
	body, err := b.store.Open(b.Context(), id)
	b.ok(err)
	defer body.Close()
	data, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	b.ok(err)
	return string(data)
}

// leave ends the lease of begin.
func (b *bench) leave() {
	b.Helper()
	if b.store.Shared() {
		b.ok(b.store.Leave(b.Context(), "n1"))
	}
}

func renewal(node string, lease time.Duration) queue.Renewal {
	return queue.Renewal{Node: queue.Node{ID: node, Name: node, About: queue.About{Version: "test"}}, Lease: lease}
}

func acceptAndRead(t *testing.T, b *bench) {
	for _, size := range []int{0, 1, 128 << 10, 128<<10 + 1, 9 << 20} {
		want := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		id := b.put(laneA, want)
		b.reopen()
		if got := b.body(id); got != want {
			t.Errorf("a body of %d bytes came back with %d, or changed", size, len(got))
		}
		r, _ := b.get(id)
		if fmt.Sprint(r.Entry) != fmt.Sprint(entry(laneA)) || r.Size != int64(size) || r.State != queue.Queued {
			t.Errorf("the record came back as %+v", r)
		}
	}
}

func abort(t *testing.T, b *bench) {
	for _, size := range []int{10, 1 << 20} {
		w, err := b.store.Create(t.Context())
		b.ok(err)
		_, err = w.Write(bytes.Repeat([]byte("x"), size))
		b.ok(err)
		b.ok(w.Abort())
		b.ok(w.Abort())
		_, _, err = b.store.Get(t.Context(), w.ID())
		b.want(err, queue.ErrNotFound)
		_, err = b.store.Open(t.Context(), w.ID())
		b.want(err, queue.ErrNotFound)
		if err := w.Commit(t.Context(), entry(laneA)); err == nil {
			t.Error("a message was committed after its abort")
		}
	}
}

func pause(t *testing.T, b *bench) {
	idA := b.put(laneA, "x")
	idB := b.put(laneB, "x")
	until := time.Now().Add(time.Hour)
	b.ok(b.store.Pause(t.Context(), laneA, until, "throttled"))
	b.ok(b.store.Pause(t.Context(), laneA, until.Add(-30*time.Minute), "throttled"))
	tasks := b.claim(10, 10)
	if len(tasks) != 1 || tasks[0].ID != idB {
		t.Fatalf("with lane A paused, claimed %v", tasks)
	}
	b.ok(b.store.Finish(t.Context(), tasks[0].Ref, queue.Outcome{State: queue.Queued}))
	b.ok(b.store.Pause(t.Context(), queue.Lane{Connection: "contoso"}, until, "sign_in"))
	if got := b.claim(10, 10); len(got) != 0 {
		t.Fatalf("with the connection paused, claimed %v", got)
	}
	_, next, err := b.store.Claim(t.Context(), queue.Claim{Node: "n1", Max: 1, PerLane: 1})
	b.ok(err)
	if next.Sub(until).Abs() > time.Second {
		t.Errorf("next due %v, want the end of the pause, %v", next, until)
	}
	b.ok(b.store.Pause(t.Context(), laneB, until, "throttled"))
	b.ok(b.store.Apply(t.Context(), idA, queue.Retry, "test"))
	tasks = b.claim(10, 10)
	if len(tasks) != 1 || tasks[0].ID != idA {
		t.Fatalf("after a retry in lane A, claimed %v", tasks)
	}
}

func stats(t *testing.T, b *bench) {
	b.put(laneA, "12345")
	b.put(laneA, "123")
	b.ok(b.store.Finish(t.Context(), b.claimOne().Ref, queue.Outcome{State: queue.Sent}))
	st, err := b.store.Stats(t.Context())
	b.ok(err)
	if st.Messages[queue.Sent] != 1 || st.Messages[queue.Queued] != 1 || st.Bytes != 3 || time.Since(st.Oldest) > time.Minute {
		t.Errorf("stats are %+v", st)
	}
	list, err := b.store.List(t.Context(), queue.Filter{States: []queue.State{queue.Queued}})
	b.ok(err)
	all, err := b.store.List(t.Context(), queue.Filter{})
	b.ok(err)
	if len(list) != 1 || list[0].Size != 3 || len(all) != 2 {
		t.Errorf("listed %v and %v", list, all)
	}
}

// concurrent has several workers deliver every message, each once.
func concurrent(t *testing.T, b *bench) {
	const producers, each, consumers = 8, 25, 4
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				w, err := b.store.Create(t.Context())
				if err == nil {
					_, err = fmt.Fprintf(w, "%d/%d", p, i)
				}
				if err == nil {
					err = w.Commit(t.Context(), entry([]queue.Lane{laneA, laneB}[i%2]))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	var mu sync.Mutex
	seen := map[string]int{}
	for range consumers {
		wg.Go(func() {
			for {
				mu.Lock()
				done := len(seen) == producers*each || t.Failed()
				mu.Unlock()
				if done {
					return
				}
				tasks, _, err := b.store.Claim(context.Background(), queue.Claim{Node: "n1", Max: 5, PerLane: 1000})
				if err != nil {
					t.Error(err)
				}
				for _, task := range tasks {
					if err := b.store.Finish(context.Background(), task.Ref, queue.Outcome{State: queue.Sent}); err != nil {
						t.Error(err)
					}
					mu.Lock()
					seen[task.ID]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}
}

func wake(t *testing.T, b *bench) {
	for len(b.store.Wake()) > 0 {
		<-b.store.Wake()
	}
	b.put(laneA, "x")
	select {
	case <-b.store.Wake():
	case <-time.After(10 * time.Second):
		t.Error("Wake received nothing after a new message")
	}
}
