package delivery_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// warnedOnce waits until the only warning about a message that still waits is sent.
func (r *rig) warnedOnce(id string) {
	r.t.Helper()
	if !r.eventually(func() bool { return r.get(id).Warned }) {
		r.t.Fatalf("not warned\n%s", r.history(id))
	}
	r.reported(id, anna, "Action: delayed", []string{bob})
	_, text, status := r.notifiedOnce(id, anna)
	if !strings.Contains(status, "Will-Retry-Until: ") || !strings.Contains(text, "do not send the message again") {
		r.t.Errorf("got:\n%s\n%s", text, status)
	}
	if rec := r.get(id); rec.State != queue.Queued && rec.State != queue.Deferred {
		r.t.Errorf("a message that is %s was warned of", rec.State)
	}
}

// The sender is warned of a delay once at most, however often the message is tried.
func TestDelayWarning(t *testing.T) {
	for name, tt := range map[string]struct {
		notify, from string
		told         bool
	}{
		"after a while":     {"", "", true},
		"asked for":         {"DELAY", "", true},
		"not asked for":     {"FAILURE", "", false},
		"nobody to be told": {"", nullSender, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.RetryDelays = []time.Duration{time.Hour}
			r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 500, Count: 2})
			e := r.to(anna, bob)
			e.Envelope.From, e.Envelope.DSN = tt.from, wishes(tt.notify, "")
			id := r.submit(compose(header("slow"), "text"), e)
			stop := r.start(nil)
			r.await(id, queue.Deferred)
			stop()
			r.cfg.WarnAfter = time.Millisecond // now that there is a reason to report
			defer r.start(nil)()
			if tt.told {
				r.warnedOnce(id)
				if _, _, status := r.notifiedOnce(id, anna); !strings.Contains(status, "Status: 4.3.2") {
					t.Errorf("got:\n%s", status)
				}
			} else if !r.eventually(func() bool { return r.get(id).Warned }) {
				t.Error("it is looked at again and again")
			}
			for r.await(id, queue.Deferred, queue.Sent).State != queue.Sent {
				if err := r.store.Apply(t.Context(), id, queue.Retry, "test"); err != nil {
					t.Fatal(err)
				}
				r.eventually(func() bool { s := r.get(id).State; return s == queue.Deferred || s == queue.Sent })
			}
			if n := len(r.notifications(id)); n != 0 && !tt.told || n > 1 {
				t.Errorf("%d notifications", n)
			}
		})
	}
}

// No warning is sent if the settings ask for none, or before its time.
func TestNoDelayWarning(t *testing.T) {
	for _, after := range []time.Duration{0, time.Hour} {
		t.Run(after.String(), func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.WarnAfter, r.cfg.RetryDelays = after, []time.Duration{2 * r.cfg.SweepEvery}
			r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 500, Count: 4})
			id := r.submit(compose(header("slow"), "text"), r.to(anna, bob))
			defer r.start(nil)()
			if rec := r.await(id, queue.Sent); rec.Warned || rec.Attempts != 5 || len(r.notifications(id)) != 0 {
				t.Errorf("warned %v after %d attempts, %d notifications", rec.Warned, rec.Attempts, len(r.notifications(id)))
			}
		})
	}
}

// A message that is not tried because its mailbox or connection is paused is warned of by a
// postmaster in another lane. Its own mailbox could warn only when the message goes too.
func TestDelayWarningBehindAPause(t *testing.T) {
	for name, lane := range map[string]queue.Lane{"mailbox": {Connection: "main", Mailbox: anna}, "connection": {Connection: "main"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.connect("other", secret)
			r.cfg.WarnAfter = time.Millisecond
			if err := r.store.Pause(t.Context(), lane, queue.Forever, reason.Operator); err != nil {
				t.Fatal(err)
			}
			id := r.submit(compose(header("waits"), "text"), r.to(anna, bob))
			witness := r.to("witness@contoso.test", bob)
			witness.Lane.Connection = "other"
			r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: witness.Lane.Mailbox, Status: 500})
			seen := r.submit(compose(header("seen"), "text"), witness)
			stop := r.start(nil)
			if !r.eventually(func() bool { return r.get(seen).Warned }) {
				t.Fatal("nothing is looked at")
			}
			if r.get(id).Warned {
				t.Error("warned by the mailbox that is paused")
			}
			stop()
			r.cfg.Postmaster = queue.Lane{Connection: "other", Mailbox: "postmaster@contoso.test"}
			defer r.start(nil)()
			r.warnedOnce(id)
			if rec := r.get(id); rec.State != queue.Queued || rec.Attempts != 0 {
				t.Errorf("it is %s after %d attempts", rec.State, rec.Attempts)
			}
			if err := r.store.Resume(t.Context(), lane); err != nil {
				t.Fatal(err)
			}
			r.sentOnce(id)
			if n := len(r.notifications(id)); n != 1 {
				t.Errorf("%d notifications", n)
			}
		})
	}
}
