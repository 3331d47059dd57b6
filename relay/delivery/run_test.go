package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// odd is a queue whose Open and Finish fail.
type odd struct {
	delivery.Queue
	open   func(id string) (queue.Body, error)
	mu     sync.Mutex
	fails  int // how often Finish does
	failed int
}

func (o *odd) Open(ctx context.Context, id string) (queue.Body, error) {
	if o.open != nil {
		if b, err := o.open(id); b != nil || err != nil {
			return b, err
		}
	}
	return o.Queue.Open(ctx, id)
}

func (o *odd) Finish(ctx context.Context, ref queue.Ref, out queue.Outcome) error {
	o.mu.Lock()
	fail := o.failed < o.fails
	if fail {
		o.failed++
	}
	o.mu.Unlock()
	if fail {
		return queue.ErrNoSpace
	}
	return o.Queue.Finish(ctx, ref, out)
}

type panicking struct{ queue.Body }

func (panicking) ReadAt([]byte, int64) (int, error) { panic("unreadable: secret content") }
func (panicking) Size() int64                       { return 100 }
func (panicking) Check() error                      { return nil }
func (panicking) Close() error                      { return nil }

// A message that makes the program panic is held; the others go on.
func TestPanicIsHeld(t *testing.T) {
	r := newRig(t, simulator.Options{})
	bad := r.submit(compose(header("bad"), "text"), r.to(anna, "bob@example.org"))
	good := r.submit(compose(header("good"), "text"), r.to(anna, "bob@example.org"))
	w := &odd{Queue: r.store, open: func(id string) (queue.Body, error) {
		if id == bad {
			return panicking{}, nil
		}
		return nil, nil
	}}
	defer r.start(w)()
	if rec := r.await(bad, queue.Held); rec.Reason != "internal_error" {
		t.Errorf("%s: %s", rec.Reason, rec.Detail)
	}
	r.sentOnce(good)
}

func TestUnreadableBody(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.submit(compose(header("s"), "text"), r.to(anna, "bob@example.org"))
	w := &odd{Queue: r.store, open: func(string) (queue.Body, error) { return nil, errors.New("disk on fire") }}
	stop := r.start(w)
	if rec := r.await(id, queue.Deferred); rec.Reason != "storage" {
		t.Errorf("%s: %s", rec.Reason, rec.Detail)
	}
	stop()
	defer r.start(nil)()
	r.sentOnce(id)
}

// An outcome that cannot be written, as on a full disk, is written later: a claim that is not
// ended would last as long as the process.
func TestOutcomeIsWrittenLater(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.submit(compose(header("s"), "text"), r.to(anna, "bob@example.org"))
	w := &odd{Queue: r.store, fails: 2}
	defer r.start(w)()
	r.sentOnce(id)
}

// A stop lets the messages in delivery come to an end.
func TestDrain(t *testing.T) {
	r := newRig(t, simulator.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if requests["create"](req) {
			once.Do(cancel)
		}
		r.sim.ServeHTTP(w, req)
	}
	r.cfg.Concurrency = 1
	id := r.submit(compose(header("s"), "text", smallFiles...), r.to(anna, "bob@example.org"))
	next := r.submit(compose(header("s"), "text"), r.to(anna, "bob@example.org"))
	r.ended(r.run(ctx, nil, guard))
	if rec := r.get(id); rec.State != queue.Sent {
		t.Errorf("the message under way is %s", rec.State)
	}
	if rec := r.get(next); rec.State != queue.Queued || rec.Attempts != 0 {
		t.Errorf("the next one is %s after %d attempts", rec.State, rec.Attempts)
	}
}

// The end of the drain cuts deliveries off, and what is cut off is not sent twice.
func TestDrainIsOver(t *testing.T) {
	for name, matches := range requests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{Limits: smallLimits()})
			ctx, cancel := context.WithCancel(t.Context())
			hang := true
			r.front = func(w http.ResponseWriter, req *http.Request) {
				if !matches(req) || !hang {
					r.sim.ServeHTTP(w, req)
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				cancel()
				<-req.Context().Done()
			}
			id := r.submit(compose(header("s"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			r.ended(r.run(ctx, nil, 10*time.Millisecond))
			if rec := r.get(id); rec.State != queue.Queued || rec.Attempts != 0 {
				t.Errorf("%s after %d attempts, %s", rec.State, rec.Attempts, rec.Reason)
			}
			r.clients["main"].Close()
			hang = false
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
		})
	}
}

// idle is a queue in memory whose messages no connection can deliver, all in an unresponsive
// lane.
type idle struct {
	delivery.Queue
	mu    sync.Mutex
	left  int
	ended int
	wake  chan struct{}
}

func (w *idle) Claim(_ context.Context, c queue.Claim) (tasks []queue.Task, _ time.Time, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.left > 0 && len(tasks) < c.MaxUnresponsive; w.left-- {
		tasks = append(tasks, queue.Task{Record: queue.Record{ID: "x", Entry: queue.Entry{Lane: queue.Lane{Connection: "none"}}}})
	}
	return tasks, time.Now().Add(-time.Second), nil
}

func (w *idle) Finish(context.Context, queue.Ref, queue.Outcome) error {
	w.mu.Lock()
	w.ended++
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	time.Sleep(time.Millisecond) // the slot is released only after
	return nil
}

func (w *idle) Renew(context.Context, queue.Renewal) (queue.Renewed, error) {
	return queue.Renewed{}, nil
}
func (w *idle) Shared() bool          { return false }
func (w *idle) Lost(queue.Ref)        {}
func (w *idle) Wake() <-chan struct{} { return w.wake }
func (w *idle) Now() time.Time        { return time.Now() }
func (w *idle) Jumped() time.Duration { return 0 }
func (w *idle) NextCleanup(context.Context, string) (queue.Cleanup, error) {
	return queue.Cleanup{}, queue.ErrNotFound
}

func noClient(queue.Lane) (*graph.Client, error) { return nil, errors.New("no client") }

// The end of a delivery frees its slot at once, not at the next look into the queue.
func TestSlotsAreUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		w := &idle{left: n, wake: make(chan struct{}, 1)}
		d := delivery.New(delivery.Config{Concurrency: 1, PerLane: 1, SweepEvery: time.Minute}, w, graphmail.New(graphmail.Config{Clients: noClient}), delivery.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var run sync.WaitGroup
		run.Go(func() { d.Run(ctx, time.Minute) })
		for {
			time.Sleep(time.Millisecond)
			w.mu.Lock()
			ended := w.ended
			w.mu.Unlock()
			if ended == n {
				break
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%d messages that take 1 ms each took %s", n, took)
		}
		cancel()
		run.Wait()
	})
}

// slowRenewal is a queue whose renewals but the first take until after they were canceled.
type slowRenewal struct {
	delivery.Queue
	renewals atomic.Int32
	begun    chan struct{}
	ended    atomic.Bool
}

func (q *slowRenewal) Renew(ctx context.Context, r queue.Renewal) (queue.Renewed, error) {
	if q.renewals.Add(1) != 2 {
		return q.Queue.Renew(ctx, r)
	}
	close(q.begun)
	<-ctx.Done()
	time.Sleep(100 * time.Millisecond)
	q.ended.Store(true)
	return queue.Renewed{}, ctx.Err()
}

// Run ends after the last renewal: it would make a node known again that the queue has ended.
func TestRunEndsAfterTheLastRenewal(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.cfg.Lease = 40 * time.Millisecond
	q := &slowRenewal{Queue: r.store, begun: make(chan struct{})}
	stop := r.start(q)
	<-q.begun
	stop()
	if !q.ended.Load() {
		t.Error("a renewal was under way at the end of Run")
	}
}

// slowToStart is a queue that cannot be written to at first.
type slowToStart struct {
	delivery.Queue
	failures int
}

func (q *slowToStart) Renew(ctx context.Context, r queue.Renewal) (queue.Renewed, error) {
	if q.failures--; q.failures >= 0 {
		return queue.Renewed{}, errors.New("the disk is full")
	}
	return q.Queue.Renew(ctx, r)
}

// A queue that cannot be written to when delivery begins is waited for: the relay must not
// end, also after a reload.
func TestBeginsOnceTheQueueCanBeWrittenTo(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.submit(compose(header("s"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(&slowToStart{Queue: r.store, failures: 2})()
	r.sentOnce(id)
	if !strings.Contains(r.log.String(), "cannot begin to deliver") {
		t.Error("the log does not say why nothing was sent")
	}
}

// A mailbox that has used up its budget waits at no cost of attempts, and other mailboxes
// send meanwhile.
func TestBudgetHoldsUpOneLane(t *testing.T) {
	const messages = 5
	r := newRig(t, simulator.Options{})
	r.budgets = graph.Budgets{Sends: graph.Budget{Amount: 2, Per: 3 * time.Second}}
	r.connect("main", secret)
	r.cfg.Concurrency = 4 // one lane could take all
	var bulk, others []string
	for i := range messages {
		bulk = append(bulk, r.submit(compose(header(fmt.Sprint("bulk", i)), "text"), r.to(anna, "bob@example.org")))
	}
	for i := range messages {
		others = append(others, r.submit(compose(header(fmt.Sprint("other", i)), "text"), r.to(fmt.Sprintf("other%d@contoso.test", i), "bob@example.org")))
	}
	defer r.start(nil)()
	for _, id := range others {
		r.sentOnce(id)
	}
	held := 0
	for _, id := range bulk {
		r.sentOnce(id)
		held += strings.Count(r.history(id), "limit of 2 messages")
		if rec := r.get(id); rec.Attempts != 1 {
			t.Errorf("%d tries\n%s", rec.Attempts, r.history(id))
		}
	}
	if held == 0 {
		t.Error("the bulk was not held back")
	}
	r.noDrafts()
}
