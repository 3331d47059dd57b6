package load

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
	"graphrelay/test/harness"
)

// backlog is a relay with messages of 10 KB waiting in fifty mailboxes.
type backlog struct {
	relay    *harness.Relay
	messages int
	claims   []float64 // seconds of a claim and its end
	starts   []float64 // seconds from kill -9 and start to /readyz
	peaks    []float64 // KiB of serve from there, some deliveries later
}

// TestBacklog measures a claim, a start after kill -9 and the memory with 100,000 waiting
// messages, and compares with 100.
func TestBacklog(t *testing.T) {
	needCompare(t)
	sim := harness.ReleasedSim(t, "--latency", "150ms")
	all := []*backlog{newBacklog(t, sim, 100), newBacklog(t, sim, 100_000)}
	claimInTurns(t, all)
	for range *rounds {
		for _, b := range all {
			b.restart(t)
		}
	}
	few, many := all[0], all[1]
	t.Logf("a claim with %d messages to one with %d: %.2f", many.messages, few.messages, median(many.claims)/median(few.claims))
	t.Logf("start after kill -9: %.2f s with %d, %.2f s with %d", median(few.starts), few.messages, median(many.starts), many.messages)
	t.Logf("peak memory of serve: %.0f KiB with %d, %.0f KiB with %d", median(few.peaks), few.messages, median(many.peaks), many.messages)
}

func newBacklog(t *testing.T, sim *harness.Sim, messages int) *backlog {
	t.Helper()
	b := &backlog{relay: harness.ReleasedRelay(t, sim), messages: messages}
	b.fill(t, messages)
	return b
}

// fill queues messages while the relay does not run.
func (b *backlog) fill(t *testing.T, messages int) {
	t.Helper()
	store := b.open(t)
	defer store.Close()
	body := []byte(harness.TenKilobytes("backlog")(0).Compose(harness.RFC2231Name))
	var wg sync.WaitGroup
	for p := range 64 {
		wg.Go(func() {
			for n := p; n < messages; n += 64 {
				if err := queueOne(t, store, body, n%50); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (b *backlog) open(t *testing.T) *queue.Queue {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(b.relay.Dir, "data"), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func queueOne(t *testing.T, store *queue.Queue, body []byte, mailbox int) error {
	w, err := store.Create(t.Context())
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	address := fmt.Sprintf("backlog-%d@contoso.test", mailbox)
	return w.Commit(t.Context(), queue.Entry{
		Envelope: queue.Envelope{From: address, To: []string{"anna@example.com"}},
		Lane:     queue.Lane{Connection: "contoso", Mailbox: address}, From: address, Subject: "backlog", Listener: "devices",
	})
}

// claimInTurns claims and releases a message in one queue and then in the other, so that
// a noisy machine affects both alike.
func claimInTurns(t *testing.T, all []*backlog) {
	t.Helper()
	stores := make([]*queue.Queue, len(all))
	for i, b := range all {
		stores[i] = b.open(t)
		defer stores[i].Close()
	}
	for range 300 {
		for i, b := range all {
			start := time.Now()
			tasks, _, err := stores[i].Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 4})
			if err != nil || len(tasks) != 1 {
				t.Fatalf("claimed %d, %v", len(tasks), err)
			}
			if err := stores[i].Finish(t.Context(), tasks[0].Ref, queue.Outcome{State: queue.Queued}); err != nil {
				t.Fatal(err)
			}
			b.claims = append(b.claims, time.Since(start).Seconds())
		}
	}
}

// restart kills the relay in the middle of deliveries and starts it again.
func (b *backlog) restart(t *testing.T) {
	t.Helper()
	b.fill(t, 100) // what is delivered here
	some := func() bool { return b.relay.Metric(t, "graphrelay_messages_delivered_total") >= 10 }
	b.relay.Start(t)
	harness.WaitFor(t, "deliveries", some)
	b.relay.Kill(t)
	start := time.Now()
	b.relay.Start(t)
	b.starts = append(b.starts, time.Since(start).Seconds())
	harness.WaitFor(t, "deliveries", some)
	b.peaks = append(b.peaks, float64(harness.PeakMemory(t, b.relay.Process)))
	b.relay.Kill(t)
	if log := b.relay.Log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the relay reports a fault:\n%s", harness.Tail(log))
	}
}
