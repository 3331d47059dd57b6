package delivery_test

import (
	"fmt"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// plant puts items of the mailbox's owner into a folder.
func (r *rig) plant(mailbox, folder string, n int) {
	r.t.Helper()
	for i := range n {
		m := simulator.Message{Mailbox: mailbox, Folder: folder, Subject: fmt.Sprintf("private %d", i),
			To: []simulator.Address{{Address: "friend@elsewhere.test"}}}
		if _, err := r.sim.Plant(m); err != nil {
			r.t.Fatal(err)
		}
	}
}

// noRelayDrafts waits until only the owners' drafts are left.
func (r *rig) noRelayDrafts() {
	r.t.Helper()
	var left []string
	if !r.eventually(func() bool {
		left = nil
		for _, m := range r.sim.Drafts() {
			if !m.Planted {
				left = append(left, m.Mailbox+": "+m.Subject)
			}
		}
		return len(left) == 0
	}) {
		r.t.Errorf("left in Drafts: %q", left)
	}
}

// TestSendUnknownWhereLookupsFail: the send was requested, its answer was lost, the item
// has another id since, and the look-up fails or cannot be relied on. on_unknown decides.
func TestSendUnknownWhereLookupsFail(t *testing.T) {
	for name, world := range map[string]simulator.World{
		"refused":    {NewIDOnSend: true, FilterStatus: 400},
		"unreliable": {NewIDOnSend: true, FilterIgnored: true, SendLosesProperties: true, NewMessageIDOnSend: true},
	} {
		for _, resend := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, resend %v", name, resend), func(t *testing.T) {
				r := newRig(t, simulator.Options{World: world})
				r.out.ResendUnknown = resend
				r.plant(anna, simulator.SentItems, 2)
				r.plant(anna, simulator.Drafts, 2)
				r.fault(simulator.Fault{Operation: simulator.OpSend, Reset: true, After: true, Nth: 1})
				id := r.submit(compose(header("s"), "text"), r.to(anna, "bob@example.org"))
				defer r.start(nil)()
				want := queue.Held
				if resend {
					want = queue.Sent
				}
				rec := r.await(id, want)
				if !resend && rec.Reason != "send_unknown" {
					t.Errorf("held for %s: %s", rec.Reason, rec.Detail)
				}
				if touched := r.sim.Touched(); len(touched) != 0 {
					t.Errorf("items of the owner were touched: %+v", touched)
				}
			})
		}
	}
}
