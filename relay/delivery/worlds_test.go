package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// lookupWorlds are worlds in which what the relay assumes of look-ups is false.
var lookupWorlds = map[string]simulator.World{
	"filter ignored":                      {FilterIgnored: true},
	"filter ignored, expand too":          {FilterIgnored: true, ExpandIgnored: true},
	"filter refused with 400":             {FilterStatus: 400},
	"filter refused with 501":             {FilterStatus: 501},
	"filter refused with 504":             {FilterStatus: 504},
	"filter lags":                         {FilterLag: 300 * time.Millisecond},
	"expand ignored":                      {ExpandIgnored: true},
	"deleted items stay readable":         {DeleteTo: simulator.DeleteToRecoverable},
	"deleted items go to Deleted Items":   {DeleteTo: simulator.DeleteToDeleted},
	"filter ignored, deletes recoverable": {FilterIgnored: true, DeleteTo: simulator.DeleteToRecoverable},
}

// TestLookupAssumptionsAreFalse loses answers in worlds where look-ups do not work as
// assumed. Each message is sent once, its late draft is removed where it can be found, and
// no item of the mailbox's owner is touched.
func TestLookupAssumptionsAreFalse(t *testing.T) {
	for name, world := range lookupWorlds {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: world})
			r.timeout = 5 * time.Second
			r.connect("main", secret)
			var ids []string
			for n, f := range []simulator.Fault{
				{Operation: simulator.OpCreate, Reset: true},
				{Operation: simulator.OpCreate, Reset: true, After: true},
				{Operation: simulator.OpCreate, Status: 504, After: true},
				{Operation: simulator.OpSend, Reset: true},
				{Operation: simulator.OpSend, Reset: true, After: true},
				{Operation: simulator.OpAttachment, Reset: true, After: true},
			} {
				mailbox := fmt.Sprintf("m%d@contoso.test", n)
				for _, folder := range []string{simulator.Drafts, simulator.SentItems} {
					r.plant(mailbox, folder, 2)
				}
				f.Mailbox, f.Nth = mailbox, 1
				r.fault(f)
				raw := compose(header(fmt.Sprintf("s%d", n)), "text", attached{name: "a.bin", kind: "application/octet-stream", data: random(2000)})
				ids = append(ids, r.submit(raw, r.to(mailbox, "bob@example.org")))
			}
			defer r.start(nil)()
			for _, id := range ids {
				r.sentOnce(id)
			}
			if touched := r.sim.Touched(); len(touched) != 0 {
				t.Errorf("items of the owner were touched: %+v", touched)
			}
			if world.FilterLag > 0 {
				r.noRelayDrafts()
			}
		})
	}
}

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
