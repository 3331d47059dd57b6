package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// scripted is an outlet whose attempts end as the test says, the last one again and again.
type scripted struct {
	mu        sync.Mutex
	results   []delivery.Result
	err       error
	again     time.Time // what Abandon returns, once
	abandoned int
	cleaned   []string
	seen      []string // the documents that the attempts began with
}

func (s *scripted) Needs(queue.Record) int64 { return 1 }

func (s *scripted) Send(ctx context.Context, a *delivery.Attempt) (delivery.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, string(a.Progress.Document))
	a.Progress = queue.Progress{Document: json.RawMessage(`{"step":1}`), Leftover: true}
	a.NoteRequest("step", "one", "r1", time.Second)
	if err := a.Save(ctx); err != nil {
		return delivery.Result{}, err
	}
	r := s.results[0]
	if len(s.results) > 1 {
		s.results = s.results[1:]
	}
	return r, s.err
}

func (s *scripted) Abandon(context.Context, *delivery.Attempt) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.again
	s.again = time.Time{}
	s.abandoned++
	return again
}

func (s *scripted) Cleanup(_ context.Context, c queue.Cleanup) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleaned = append(s.cleaned, c.ID)
	return true, nil
}

func (r *rig) script(s *scripted) (id string, stop func()) {
	r.outlet = s
	id = r.submit(compose(header("scripted"), "text"), r.to(anna, bob))
	return id, r.start(nil)
}

// What becomes of a message is decided by the result of the attempt.
func TestOutcomes(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for name, tt := range map[string]struct {
		result   delivery.Result
		err      error
		state    queue.State
		reason   reason.Reason
		attempts int
		paused   queue.Lane // with the zero Lane, nothing is
	}{
		"sent":    {result: delivery.Result{Status: delivery.StatusSent, Path: "draft"}, state: queue.Sent, attempts: 1},
		"pending": {result: delivery.Result{Status: delivery.StatusPending, Until: soon, Doubt: delivery.Watched}, state: queue.Deferred, reason: reason.Confirming},
		"refused": {result: delivery.Result{Status: delivery.StatusRefused, Reason: reason.TooLarge}, state: queue.Failed, reason: reason.TooLarge, attempts: 1},
		"hold":    {result: delivery.Result{Status: delivery.StatusHold, Reason: reason.NotConnected}, state: queue.Held, reason: reason.NotConnected, attempts: 1},
		"retry":   {result: delivery.Result{Status: delivery.StatusRetry, Reason: reason.Unavailable}, state: queue.Deferred, reason: reason.Unavailable, attempts: 1},
		"lane": {result: delivery.Result{Status: delivery.StatusRetry, Reason: reason.MailboxFull, Pause: delivery.PauseLane, Wait: time.Hour},
			state: queue.Deferred, reason: reason.MailboxFull, attempts: 1, paused: queue.Lane{Connection: "main", Mailbox: anna}},
		"connection": {result: delivery.Result{Status: delivery.StatusRetry, Reason: reason.SignIn, Pause: delivery.PauseConnection, Wait: time.Hour, Blameless: true},
			state: queue.Deferred, reason: reason.SignIn, paused: queue.Lane{Connection: "main"}},
		"queue failed": {err: errors.New("disk"), state: queue.Deferred, reason: reason.Storage, attempts: 1},
		"damaged":      {err: queue.ErrDamaged, state: queue.Held, reason: reason.Storage, attempts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.RetryDelays = []time.Duration{time.Hour}
			s := &scripted{results: []delivery.Result{tt.result}, err: tt.err}
			id, stop := r.script(s)
			defer stop()
			rec := r.await(id, tt.state)
			if rec.Reason != tt.reason || rec.Attempts != tt.attempts || string(rec.Progress.Document) != `{"step":1}` {
				t.Errorf("%s after %d attempts with %s", rec.Reason, rec.Attempts, rec.Progress.Document)
			}
			lanes, err := r.store.Lanes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lanes {
				if (l.Lane == tt.paused) == l.PausedUntil.IsZero() {
					t.Errorf("%s is paused until %v", l.Lane, l.PausedUntil)
				}
			}
			if ended := tt.state == queue.Sent || tt.state == queue.Failed; ended && !r.eventually(s.cleanedUp) {
				t.Error("it is not cleaned up after")
			}
		})
	}
}

func (s *scripted) cleanedUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cleaned) > 0
}

// A message that has waited too long is given up only if it was certainly not sent.
func TestGiveUpInDoubt(t *testing.T) {
	for name, tt := range map[string]struct {
		doubt  delivery.Doubt
		state  queue.State
		reason reason.Reason
	}{
		"not sent": {delivery.NotSent, queue.Failed, reason.Network},
		"watched":  {delivery.Watched, queue.Deferred, reason.Network},
		"in doubt": {delivery.InDoubt, queue.Held, reason.SendUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.RetryDelays, r.cfg.GiveUpAfter = []time.Duration{time.Hour}, time.Nanosecond
			s := &scripted{results: []delivery.Result{{Status: delivery.StatusRetry, Reason: reason.Network, Doubt: tt.doubt}}}
			id, stop := r.script(s)
			rec := r.await(id, tt.state)
			stop()
			if rec.Reason != tt.reason || (s.abandoned > 0) != (tt.state == queue.Failed) {
				t.Errorf("%s: %s, abandoned %d times", rec.Reason, rec.Detail, s.abandoned)
			}
		})
	}
}

// A failed message that turns out to be sent is not bounced: another attempt confirms it,
// from the progress of the first.
func TestSentAlthoughRefused(t *testing.T) {
	r := newRig(t, simulator.Options{})
	s := &scripted{again: time.Now(), results: []delivery.Result{
		{Status: delivery.StatusRefused, Reason: reason.SendDenied}, {Status: delivery.StatusSent, Path: "draft"},
	}}
	id, stop := r.script(s)
	r.await(id, queue.Sent)
	stop()
	if len(r.notifications(id)) > 0 || len(s.seen) != 2 || s.seen[0] != "" || s.seen[1] != `{"step":1}` {
		t.Errorf("%d notifications; the attempts began with %q", len(r.notifications(id)), s.seen)
	}
}
