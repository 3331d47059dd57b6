package delivery_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// full is a queue that cannot write: outcomes a number of times, pauses never.
type full struct {
	delivery.Queue
	mu   sync.Mutex
	left int
	err  error
}

// Finish implements delivery.Queue.
func (f *full) Finish(ctx context.Context, ref queue.Ref, o queue.Outcome) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left >= 0 {
		return f.err
	}
	return f.Queue.Finish(ctx, ref, o)
}

// PauseAs implements delivery.Queue.
func (f *full) PauseAs(context.Context, queue.LaneRef, queue.Lane, time.Time, reason.Reason) error {
	return f.err
}

// A fault of the queue's disk is told in one line of the log, whatever of an outcome it concerns.
func TestFaultIsLoggedOnce(t *testing.T) {
	errFull := errors.New("the disk is full")
	paused := delivery.Result{Status: delivery.StatusRetry, Reason: reason.MailboxFull, Pause: delivery.PauseLane, Wait: time.Hour}
	for name, tt := range map[string]struct {
		result delivery.Result
		err    error
		fails  int // outcomes that are not recorded
		want   string
	}{
		"pause":                 {result: paused, want: "cannot pause"},
		"pause and outcome":     {result: paused, fails: 1, want: "cannot record the outcome, trying again"},
		"outcome":               {result: delivery.Result{Status: delivery.StatusSent, Path: "draft"}, fails: 1, want: "cannot record the outcome, trying again"},
		"what the outcome says": {err: errFull, fails: 1, want: "deferred"},
		"the same, for longer":  {err: errFull, fails: 2, want: "cannot record the outcome, trying again"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.RetryDelays = []time.Duration{time.Hour}
			r.outlet = &scripted{results: []delivery.Result{tt.result}, err: tt.err}
			id := r.submit(compose(header("scripted"), "text"), r.to(anna, bob))
			stop := r.start(&full{Queue: r.store, left: tt.fails, err: errFull})
			ended := r.eventually(func() bool { s := r.get(id).State; return s == queue.Sent || s == queue.Deferred })
			stop()
			var told []string
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, errFull.Error()) {
					told = append(told, line)
				}
			}
			if !ended || len(told) != 1 || !strings.Contains(told[0], tt.want) {
				t.Errorf("want %q once, got %q", tt.want, told)
			}
		})
	}
}
