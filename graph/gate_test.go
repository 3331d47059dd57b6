package graph_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

// No mailbox gets more requests at a time than its limit, uploads included.
func TestGateHoldsTheLimit(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{Latency: 2 * time.Millisecond, Concurrency: -1})
	others := []string{mailbox, "BEN@contoso.test", "ben@contoso.test", "eve@contoso.test"}
	_, a := large(graph.MaxPostAttachment)
	together(40, func(i int) {
		box := others[i%len(others)]
		id, _, err := c.Mailbox(box).CreateDraft(t.Context(), message("gate"))
		if err != nil {
			t.Error(err)
			return
		}
		if _, _, err := c.Mailbox(box).Item(t.Context(), id); err != nil {
			t.Error(err)
		}
		url, _, err := c.Mailbox(box).CreateUploadSession(t.Context(), id, a)
		if err != nil {
			t.Error(err)
			return
		}
		if _, _, err := c.Mailbox(box).UploadState(t.Context(), url); err != nil {
			t.Error(err)
		}
	})
	for box, n := range sim.Stats().MaxConcurrency {
		if n > 4 {
			t.Errorf("%s had %d requests at a time", box, n)
		}
	}
}

// busy is a Graph that holds requests until they are released, and counts them by mailbox.
type busy struct {
	mu      sync.Mutex
	running map[string]int
	release chan struct{}
}

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	box := strings.Split(r.URL.Path, "/")[3]
	b.mu.Lock()
	b.running[box]++
	b.mu.Unlock()
	select {
	case <-b.release:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusAccepted)
}

func (b *busy) count(box string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running[box]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(guard); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// A mailbox at its limit delays no other one, and requests that wait for it can be canceled
// without a trace.
func TestGateWaiters(t *testing.T) {
	b := &busy{running: map[string]int{}, release: make(chan struct{})}
	c := newClient(t, serve(t, withTokens(b)), func(cfg *graph.Config) { cfg.Concurrency = 2 })
	send := func(ctx context.Context, box string) error {
		_, err := c.Mailbox(box).Send(ctx, "AAQ", nil)
		return err
	}

	var in sync.WaitGroup
	for range 2 {
		in.Go(func() {
			if err := send(t.Context(), "full@x"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "two at full@x", func() bool { return b.count("full@x") == 2 })

	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	var gaveUp atomic.Int32
	for range 20 {
		waiting.Go(func() {
			if e := graphError(t, send(ctx, "full@x")); e.Reason == graph.ReasonCanceled && !e.Ambiguous {
				gaveUp.Add(1)
			}
		})
	}
	in.Go(func() {
		if err := send(t.Context(), "other@x"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "one at other@x", func() bool { return b.count("other@x") == 1 })
	cancel()
	waiting.Wait()
	if gaveUp.Load() != 20 || b.count("full@x") != 2 {
		t.Errorf("%d of 20 gave up, %d requests at full@x", gaveUp.Load(), b.count("full@x"))
	}
	close(b.release)
	in.Wait()
	if err := send(t.Context(), "full@x"); err != nil {
		t.Errorf("after all: %v", err)
	}
}

// Two clients of one application, as during a reload, share the mailbox's limits.
func TestClientFollows(t *testing.T) {
	b := &busy{running: map[string]int{}, release: make(chan struct{})}
	server := serve(t, withTokens(b))
	one := func(cfg *graph.Config) { cfg.Concurrency = 1 }
	before, after := newClient(t, server, one), newClient(t, server, one)
	after.ShareLimits(before)
	var in sync.WaitGroup
	in.Go(func() {
		if _, err := before.Mailbox(mailbox).Send(t.Context(), "AAQ", nil); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the first request", func() bool { return b.count(mailbox) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := after.Mailbox(mailbox).Send(ctx, "AAQ", nil); graphError(t, err).Reason != graph.ReasonCanceled {
		t.Errorf("beside the first request: %v", err)
	}
	close(b.release)
	in.Wait()
}

// record is called while a send waits for a slot, and once more if that takes long. If it
// fails, nothing is sent.
func TestSendRecorded(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{})
	id, _, err := c.Mailbox(mailbox).CreateDraft(t.Context(), message("recorded"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is broken")
	if _, err := c.Mailbox(mailbox).Send(t.Context(), id, func() error { return broken }); !errors.Is(err, broken) || len(sim.Ledger()) != 0 {
		t.Errorf("%v, %d sends", err, len(sim.Ledger()))
	}
	if _, err := c.Mailbox(mailbox).Send(t.Context(), id, func() error { return nil }); err != nil || len(sim.Ledger()) != 1 {
		t.Errorf("%v, %d sends", err, len(sim.Ledger()))
	}

	b := &busy{running: map[string]int{}, release: make(chan struct{})}
	c = newClient(t, serve(t, withTokens(b)), func(cfg *graph.Config) { cfg.Concurrency = 1 })
	var recorded atomic.Int32
	var in sync.WaitGroup
	for range 2 {
		in.Go(func() {
			if _, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", func() error { recorded.Add(1); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "two records and one request", func() bool { return recorded.Load() >= 2 && b.count(mailbox) == 1 })
	time.Sleep(1100 * time.Millisecond) // for the record to become too old
	close(b.release)
	in.Wait()
	if n := recorded.Load(); n < 3 || n > 4 { // 4 if the first waited long for the processor
		t.Errorf("recorded %d times", n)
	}
}

// record is not called for a request that would be refused.
func TestRefusedIsNotRecorded(t *testing.T) {
	b := &busy{running: map[string]int{}, release: make(chan struct{})}
	close(b.release)
	c := newClient(t, serve(t, withTokens(b)), func(cfg *graph.Config) {
		cfg.Budgets.Sends = graph.Budget{Amount: 1, Per: time.Hour}
	})
	recorded := 0
	for n := range 2 {
		_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", func() error { recorded++; return nil })
		if (err == nil) != (n == 0) || recorded != 1 {
			t.Errorf("send %d: %v, recorded %d times", n, err, recorded)
		}
	}
}
