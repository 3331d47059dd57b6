package delivery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

const copyTo = "postmaster@fabrikam.test"

// bounces returns the bounces about a message, not its warnings.
func (r *rig) bounces(id string) []queue.Record {
	r.t.Helper()
	return slices.DeleteFunc(r.notifications(id), func(n queue.Record) bool { return strings.Contains(r.history(n.ID), "delay warning: of ") })
}

// A warning of a delay is the sender's alone. The bounce that follows it is copied.
func TestNoCopyOfDelayWarning(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.cfg.BounceCopy, r.cfg.RetryDelays = copyTo, []time.Duration{time.Hour}
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 500, Count: 2})
	id := r.submit(compose(header("slow"), "text"), r.to(anna, bob))
	stop := r.start(nil)
	r.await(id, queue.Deferred)
	stop()
	r.cfg.WarnAfter = time.Millisecond
	defer r.start(nil)()
	r.warnedOnce(id)
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: anna, Status: 400, Code: "ErrorInvalidRecipients", Count: 1})
	for !slices.Contains([]queue.State{queue.Failed, queue.Sent}, r.get(id).State) {
		if err := r.store.Apply(t.Context(), id, queue.Retry, "test"); err != nil {
			t.Fatal(err)
		}
		r.eventually(func() bool { return r.get(id).State != queue.Queued && r.get(id).State != queue.Delivering })
	}
	r.await(id, queue.Failed)
	list := r.bounces(id)
	if len(list) != 1 {
		t.Fatalf("%d bounces\n%s", len(list), r.history(id))
	}
	if to := r.sentOnce(list[0].ID).Recipients(); !slices.Equal(to, []string{anna, copyTo}) {
		t.Errorf("the bounce goes to %v", to)
	}
}

// Exchange refuses the address that gets copies: the sender has the bounce all the same, once. Nobody
// is told of the copy but whoever reads the log, the history, and the metric of what was lost.
func TestCopyOfBounceRefused(t *testing.T) {
	for name, world := range map[string]simulator.World{
		"at the send":   {Unresolved: []string{copyTo}},
		"at the create": {Unresolved: []string{copyTo}, UnresolvedAtCreate: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: world})
			r.cfg.BounceCopy = copyTo
			id := r.refused(anna, nil)
			stop := r.start(nil)
			r.await(id, queue.Failed)
			list := r.bounces(id)
			if len(list) != 1 {
				t.Fatalf("%d bounces\n%s", len(list), r.history(id))
			}
			bounce := list[0].ID
			if to := r.sentOnce(bounce).Recipients(); !slices.Equal(to, []string{anna}) {
				t.Errorf("the bounce goes to %v", to)
			}
			stop()
			if h := r.history(bounce); !strings.Contains(h, "not bounced: the sender asked for no bounce") || !strings.Contains(h, copyTo) {
				t.Errorf("the history does not say that the copy was refused:\n%s", h)
			}
			if !strings.Contains(r.log.String(), copyTo) {
				t.Errorf("the log does not name the refused address:\n%s", r.log)
			}
			if all, err := r.store.List(t.Context(), queue.Filter{}); err != nil || len(all) != 2 {
				t.Errorf("%d messages, %v", len(all), err)
			}
			if n := r.counted("graphrelay_conversion_losses_total", "recipient"); n != 1 {
				t.Errorf("%v lost recipients were counted", n)
			}
			if n := r.counted("graphrelay_bounces_impossible_total", "main"); n != 0 { // which would be an alert
				t.Errorf("%v impossible bounces were counted", n)
			}
			r.noDrafts()
		})
	}
}
