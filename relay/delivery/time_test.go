package delivery_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// clock is the source of the queue's clock. Its wall clock can be set.
type clock struct {
	ahead atomic.Int64
	stops func() bool // whether time stands still; nil: never

	mu          sync.Mutex
	read, stood time.Duration // when it was last read, and for how long it has stood still
}

var started = time.Now()

func (c *clock) Wall() time.Time         { return started.Add(c.Elapsed() + time.Duration(c.ahead.Load())) }
func (c *clock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

func (c *clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Since(started)
	if c.stops != nil && c.stops() {
		c.stood += now - c.read
	}
	c.read = now
	return now - c.stood
}

// dated sends the answers with the time of the clock. A service whose clock goes on while the
// queue's stands still would seem to have sent an item before the queue asked for that.
type dated struct {
	http.ResponseWriter
	clock *clock
}

func (w dated) WriteHeader(status int) {
	w.Header().Set("Date", started.Add(w.clock.Elapsed()).UTC().Format(http.TimeFormat))
	w.ResponseWriter.WriteHeader(status)
}

func (w dated) Unwrap() http.ResponseWriter { return w.ResponseWriter }

const day = 24 * time.Hour

// A wall clock that is wrong for a moment pauses nothing for longer than Graph asked for.
func TestWrongClockPausesNothing(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"a year ahead": 365 * day, "a day back": -day} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			throttled := r.fault(simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 503, RetryAfter: "1"})
			r.clock.set(ahead)
			id := r.submit(compose(header("wrong clock"), "text"), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			if !r.eventually(func() bool { return r.acted(throttled) == 1 && r.get(id).State != queue.Delivering }) {
				t.Fatal("no attempt was made")
			}
			r.clock.set(0)
			lanes, err := r.store.Lanes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lanes {
				if wait := time.Until(l.PausedUntil); wait > time.Minute {
					t.Fatalf("%s is paused for %s", l.Lane, wait)
				}
			}
			r.sentOnce(id)
		})
	}
}

// A message does not age by a jump of the clock, also where it is followed by a restart.
func TestJumpAgesNothing(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.GiveUpAfter = 2 * day
			refused := r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 503, Count: 3, Nth: 1})
			id := r.submit(compose(header("young"), "text"), r.to(anna, "bob@example.org"))
			r.clock.set(3 * day)
			if restart {
				r.reopen()
			}
			r.outlet = nil
			defer r.start(nil)()
			if !r.eventually(func() bool { return r.acted(refused) > 0 && r.get(id).State != queue.Delivering }) {
				t.Fatal("no attempt was made")
			}
			if rec := r.get(id); rec.State == queue.Failed || rec.State == queue.Held {
				t.Errorf("it is %s: %s", rec.State, rec.Detail)
			}
		})
	}
}

// The watch over a send whose answer was lost does not end early because the clock jumps,
// whether the relay runs meanwhile or is stopped.
func TestJumpEndsNoWatch(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{InFlight: simulator.InFlightDraft, SendDelay: 4 * time.Second})
			r.out.SendSettle = 8 * time.Second
			r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true, After: true})
			id := r.submit(compose(header("lost"), "text"), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			if !r.eventually(func() bool { return !graphmail.StepsOf(r.get(id).Progress).SendWanted.IsZero() }) {
				t.Fatal("no send was requested")
			}
			r.clock.set(r.out.SendSettle + time.Second)
			if restart {
				stop()
				r.reopen()
				stop = r.start(nil)
			}
			defer stop()
			r.sentOnce(id)
			if n := r.sim.Stats().Calls[simulator.OpSend]; n != 1 {
				t.Errorf("%d sends were requested\n%s", n, r.history(id))
			}
		})
	}
}
