package delivery_test

import (
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// A message that the operator deletes leaves no draft behind, also none whose id was
// never learned; what was sent all the same stays.
func TestDeletedMessageLeavesNoDraft(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  simulator.Fault
		drafts int // before the message is deleted
		sent   int
	}{
		"known draft":   {simulator.Fault{Operation: simulator.OpAttachment, Status: 503}, 1, 0},
		"unknown draft": {simulator.Fault{Operation: simulator.OpCreate, Status: 504, After: true}, 1, 0},
		"no draft":      {simulator.Fault{Operation: simulator.OpCreate, Status: 503}, 0, 0},
		"sent":          {simulator.Fault{Operation: simulator.OpSend, Status: 504, After: true}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.RetryDelays = []time.Duration{time.Hour}
			r.cfg.SendSettle = time.Hour
			r.fault(tt.fault)
			id := r.submit(compose(header("deleted"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			r.await(id, queue.Deferred)
			stop()
			if !r.eventually(func() bool { return len(r.sim.Drafts()) == tt.drafts }) {
				t.Fatalf("%d drafts, want %d", len(r.sim.Drafts()), tt.drafts)
			}
			if err := r.store.Steer(t.Context(), id, queue.Delete, "test"); err != nil {
				t.Fatal(err)
			}
			r.reopen()
			defer r.start(nil)()
			r.noDrafts()
			if n := len(r.sim.Sent()); n != tt.sent {
				t.Errorf("%d sent copies, want %d", n, tt.sent)
			}
			if name == "known draft" && !r.eventually(func() bool {
				list, err := r.store.Orphans(t.Context())
				return err == nil && len(list) == 0
			}) {
				t.Error("the orphan is not forgotten")
			}
		})
	}
}
