package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// dying is the queue of a process that dies at a step, another one for each message. A step
// is a Save or a Finish. From then on nothing reaches the store.
type dying struct {
	delivery.Queue
	mu    sync.Mutex
	left  map[string]int  // steps until death
	loses map[string]bool // the last step does not reach the store either
	// killed reports whether the process died since the last step; may be nil.
	killed func(id string) bool
}

func (d *dying) step(id string, do func() error) error {
	if d.killed != nil && d.killed(id) {
		return queue.ErrClosed
	}
	d.mu.Lock()
	left, mortal := d.left[id]
	if mortal {
		d.left[id] = left - 1
	}
	loses := d.loses[id]
	d.mu.Unlock()
	switch {
	case !mortal || left > 1:
		return do()
	case left == 1 && !loses:
		_ = do()
	}
	return queue.ErrClosed
}

func (d *dying) Save(ctx context.Context, ref queue.Ref, p queue.Progress, events ...queue.Event) error {
	return d.step(ref.ID, func() error { return d.Queue.Save(ctx, ref, p, events...) })
}

func (d *dying) Finish(ctx context.Context, ref queue.Ref, o queue.Outcome) error {
	return d.step(ref.ID, func() error { return d.Queue.Finish(ctx, ref, o) })
}

func (d *dying) dead(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	left, mortal := d.left[id]
	return mortal && left <= 0
}

// survive runs until each message died or was sent, then starts anew.
func (r *rig) survive(d *dying, names map[string]string, want []attached, w otherWorld) {
	r.t.Helper()
	d.Queue = r.store
	stop := r.start(d)
	ok := r.eventually(func() bool {
		for id := range names {
			if !d.dead(id) && r.get(id).State != queue.Sent {
				return false
			}
		}
		return true
	})
	stop()
	if !ok {
		r.t.Fatal("some message neither died nor was sent")
	}
	r.reopen()
	defer r.start(nil)()
	outer := r.t
	for id, name := range names {
		outer.Run(name, func(t *testing.T) {
			r.t = t
			sent := r.sentOnce(id)
			if r.get(id).Lane.Connection != copyless {
				sameFiles(t, r.attachmentsOf(sent), want)
			} else if n := r.copiesIn(sent.Mailbox); n > 0 && !w.copies {
				t.Errorf("%d copies are left in the mailbox", n)
			}
		})
	}
	r.t = outer
	w.drafts(r)
}

// The process dies at every step, just after it was recorded or just before: the
// message is sent once and whole.
func TestCrashAtEveryStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		r := w.newRig(t, simulator.Options{Limits: smallLimits()})
		d := &dying{left: map[string]int{}, loses: map[string]bool{}}
		names := map[string]string{}
		for n := 1; n <= 8; n++ { // draft, file, session, file, file, send wanted, finish; and one that lives
			for _, loses := range []bool{false, true} {
				id := r.submit(compose(header("crash"), "text", smallFiles...), r.to(fmt.Sprintf("n%d-%v@contoso.test", n, loses), "bob@example.org"))
				d.left[id], d.loses[id] = n, loses
				names[id] = fmt.Sprintf("step %d, lost %v", n, loses)
			}
		}
		r.survive(d, names, smallFiles, w)
	})
}

// The same with a sent copy that is to be removed.
func TestCrashBeforeCopyIsRemoved(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		big := []attached{{"big.bin", "application/zip", "", false, random(3_800_000)}}
		raw := compose(header("copy"), "text", big...)
		r := w.newRig(t, simulator.Options{})
		r.out.Connections = map[string]graphmail.Connection{copyless: {DropCopies: true}}
		r.connect(copyless, secret)
		r.cfg.Concurrency = 2
		d := &dying{left: map[string]int{}, loses: map[string]bool{}}
		names := map[string]string{}
		for n := 4; n <= 7; n++ { // draft, session, range, file, send wanted, send accepted, finish
			e := r.to(fmt.Sprintf("n%d@contoso.test", n), "bob@example.org")
			e.Lane.Connection = copyless
			id := r.submit(raw, e)
			d.left[id], d.loses[id] = n, n == 7 // an end that is recorded needs no other attempt
			names[id] = fmt.Sprintf("step %d", n)
		}
		r.survive(d, names, big, w)
	})
}

// The same between the ranges of an upload.
func TestCrashBetweenRanges(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		big := []attached{{"big.bin", "application/zip", "", false, random(3_800_000)}}
		r := w.newRig(t, simulator.Options{})
		r.cfg.Concurrency = 2
		d := &dying{left: map[string]int{}, loses: map[string]bool{}}
		names := map[string]string{}
		raw := compose(header("crash"), "text", big...)
		for n := 2; n <= 4; n++ { // session, range, file; each is recorded, see TestLostAnswerAndRestart for the others
			id := r.submit(raw, r.to(fmt.Sprintf("n%d@contoso.test", n), "bob@example.org"))
			d.left[id] = n
			names[id] = fmt.Sprintf("step %d", n)
		}
		r.survive(d, names, big, w)
	})
}

// An answer is lost, and then the process dies at any later step.
func TestLostAnswerAndCrash(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		r := w.newRig(t, simulator.Options{Limits: smallLimits()})
		d := &dying{left: map[string]int{}, loses: map[string]bool{}}
		names := map[string]string{}
		for _, op := range []simulator.Operation{simulator.OpCreate, simulator.OpAttachment, simulator.OpCreateSession, simulator.OpUpload, simulator.OpSend} {
			for n := 1; n <= 8; n++ {
				mailbox := fmt.Sprintf("%s-%d@contoso.test", strings.ReplaceAll(string(op), "_", "-"), n)
				r.fault(simulator.Fault{Operation: op, Mailbox: mailbox, Nth: 1, Reset: true, After: true})
				id := r.submit(compose(header("crash"), "text", smallFiles...), r.to(mailbox, "bob@example.org"))
				d.left[id], d.loses[id] = n, n%2 == 0
				names[id] = fmt.Sprintf("%s, step %d", op, n)
			}
		}
		r.survive(d, names, smallFiles, w)
	})
}

// requests are those that Graph gets for a message with a file that goes by upload session.
var requests = map[string]func(*http.Request) bool{
	"create":         func(r *http.Request) bool { return r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/messages") },
	"attach":         func(r *http.Request) bool { return r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/attachments") },
	"create session": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/createUploadSession") },
	"upload":         func(r *http.Request) bool { return r.Method == "PUT" },
	"send":           func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/send") },
	"token":          func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/token") },
}

// The program stops, without time to drain, while Graph is at a request: the
// message is given back, and sent once by the next start.
func TestStopInTheMidstOfARequest(t *testing.T) {
	for name, matches := range requests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{Limits: smallLimits()})
			ctx, cancel := context.WithCancel(t.Context())
			var once sync.Once
			stopped, late := make(chan struct{}), make(chan struct{})
			r.front = func(w http.ResponseWriter, req *http.Request) {
				if !matches(req) {
					r.sim.ServeHTTP(w, req)
					return
				}
				first := false
				once.Do(func() { first = true; cancel(); <-stopped })
				r.sim.ServeHTTP(w, req)
				if first {
					close(late)
				}
			}
			id := r.submit(compose(header("stop"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			done := r.run(ctx, nil, 0)
			r.ended(done)
			if rec := r.get(id); rec.State != queue.Queued || rec.Attempts != 0 || rec.Reason != "" {
				t.Errorf("given back as %s after %d attempts, %s %s", rec.State, rec.Attempts, rec.Reason, rec.Detail)
			}
			close(stopped)
			<-late // the effect came only now
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
		})
	}
}

// holding holds a message at its nth step, before the step is recorded.
type holding struct {
	delivery.Queue
	mu   sync.Mutex
	n    int
	hold func()
}

func (s *holding) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n--; s.n == 0 {
		s.hold()
	}
}

func (s *holding) Save(ctx context.Context, ref queue.Ref, p queue.Progress, events ...queue.Event) error {
	s.step()
	return s.Queue.Save(ctx, ref, p, events...)
}

func (s *holding) Finish(ctx context.Context, ref queue.Ref, o queue.Outcome) error {
	s.step()
	return s.Queue.Finish(ctx, ref, o)
}

// An operator holds a message while it is being delivered: the worker never sends
// it nor touches its draft. Once released, it is sent once.
func TestHoldWhileDelivering(t *testing.T) {
	for n := 1; n <= 7; n++ {
		t.Run(fmt.Sprint("step ", n), func(t *testing.T) {
			r := newRig(t, simulator.Options{Limits: smallLimits()})
			r.cfg.GiveUpAfter = 1 // a worker that may still decide would fail the message
			id := r.submit(compose(header("hold"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			held := make(chan struct{})
			w := &holding{Queue: r.store, n: n, hold: func() {
				if err := r.store.Apply(t.Context(), id, queue.Hold, "test"); err != nil {
					t.Error(err)
				}
				close(held)
			}}
			stop := r.start(w)
			<-held
			stop()
			if rec := r.get(id); rec.State != queue.Held || rec.Reason != "operator" {
				t.Fatalf("state %s, %s\n%s", rec.State, rec.Reason, r.history(id))
			}
			sent := len(r.deliveries(id))
			if n < 7 && sent != 0 || n == 7 && sent != 1 { // step 7 comes after the send
				t.Fatalf("sent %d times while held", sent)
			}
			if n := r.deletes(); n != 0 {
				t.Errorf("%d deletes by a worker that lost its claim", n)
			}
			r.cfg.GiveUpAfter = guard
			if err := r.store.Apply(t.Context(), id, queue.Release, "test"); err != nil {
				t.Fatal(err)
			}
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
			r.noDrafts()
		})
	}
}
