package delivery_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// forgetful is a world in which the Message-ID alone tells what became of an item.
var forgetful = simulator.World{NewIDOnSend: true, SendLosesProperties: true}

// alike has the messages of both paths to a draft, with the same header.
func alike(subject string) map[string]string {
	return map[string]string{"draft": compose(header(subject), "text"), "mime": signed(subject)}
}

// plantAlike plants an item of the owner's that looks like the message of header.
func (r *rig) plantAlike(folder, subject string, created time.Time) {
	r.t.Helper()
	m := simulator.Message{Mailbox: anna, Folder: folder, Subject: subject, InternetMessageID: "<" + subject + "@client.test>",
		To: []simulator.Address{{Address: "bob@example.org"}}, Created: created, Sent: created}
	if _, err := r.sim.Plant(m); err != nil {
		r.t.Fatal(err)
	}
}

// TestSentItemIsFoundByItsMessageID: an item has lost its id and its properties when it was
// sent. Its Message-ID still tells that it was.
func TestSentItemIsFoundByItsMessageID(t *testing.T) {
	for path, raw := range alike("known") {
		t.Run(path, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: forgetful})
			r.plantAlike(simulator.SentItems, "known", time.Now().Add(-time.Hour))
			r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true, After: true})
			id := r.submit(raw, r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			r.await(id, queue.Sent)
			if n := r.sim.Stats().Calls[simulator.OpSend]; n != 1 || !strings.Contains(r.history(id), "found sent") {
				t.Errorf("%d sends\n%s", n, r.history(id))
			}
			r.noDrafts()
		})
	}
}

// TestEarlierItemIsNotTheMessage: the draft was removed unsent. What was sent before, with the
// same Message-ID, to the same recipients, with the same subject, is not this message.
func TestEarlierItemIsNotTheMessage(t *testing.T) {
	for path, raw := range alike("earlier") {
		t.Run(path, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: forgetful})
			r.plantAlike(simulator.SentItems, "earlier", time.Now().Add(-time.Minute))
			r.removeAtSend()
			id := r.submit(raw, r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			if rec := r.await(id, queue.Held); rec.Reason != reason.SendUnknown {
				t.Errorf("held for %s: %s", rec.Reason, rec.Detail)
			}
			r.untouched()
		})
	}
}

// removeAtSend removes each item whose send is requested, and loses the answer.
func (r *rig) removeAtSend() {
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if !requests["send"](req) {
			r.sim.ServeHTTP(w, req)
			return
		}
		r.remove(req)
		panic(http.ErrAbortHandler)
	}
}

// untouched checks that no item of an owner was changed, sent or deleted.
func (r *rig) untouched() {
	r.t.Helper()
	for _, touch := range r.sim.Touched() {
		r.t.Errorf("the owner's item %q in %s of %s was %s", touch.Subject, touch.Folder, touch.Mailbox, touch.What)
	}
}

// TestTwinIsNotTheMessage: a client submits the same mail twice. The draft of one is removed
// when its send is requested, and the other is sent at the same time: the copy of that is not
// taken for both.
func TestTwinIsNotTheMessage(t *testing.T) {
	for path, raw := range alike("twin") {
		t.Run(path, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: forgetful, SendDelay: -1})
			sends := make(chan struct{}, 2)
			r.front = func(w http.ResponseWriter, req *http.Request) {
				if !requests["send"](req) {
					r.sim.ServeHTTP(w, req)
					return
				}
				select {
				case sends <- struct{}{}: // the first request: lost, with its item
					r.remove(req)
					sends <- struct{}{}
					panic(http.ErrAbortHandler)
				default:
					r.sim.ServeHTTP(w, req)
				}
			}
			ids := []string{r.submit(raw, r.to(anna, "bob@example.org")), r.submit(raw, r.to(anna, "bob@example.org"))}
			defer r.start(nil)()
			var ends []queue.State
			for _, id := range ids {
				ends = append(ends, r.await(id, queue.Sent, queue.Held).State)
			}
			if n := len(r.sim.Ledger()); n != 1 || ends[0] == ends[1] {
				t.Errorf("%d were sent, and the queue says %v\n%s\n%s", n, ends, r.history(ids[0]), r.history(ids[1]))
			}
		})
	}
}

// TestOwnersDraftOfTheSameMessage: a mail program has saved a draft of the message that it
// then submits. The relay makes its own, though the answer to that is lost.
func TestOwnersDraftOfTheSameMessage(t *testing.T) {
	for path, raw := range alike("saved") {
		for _, after := range []bool{false, true} {
			t.Run(path, func(t *testing.T) {
				r := newRig(t, simulator.Options{})
				r.plantAlike(simulator.Drafts, "saved", time.Now().Add(-10*time.Second))
				for _, op := range []simulator.Operation{simulator.OpCreate, simulator.OpCreateMIME} {
					r.fault(simulator.Fault{Operation: op, Nth: 1, Reset: true, After: after})
				}
				id := r.submit(raw, r.to(anna, "bob@example.org"))
				defer r.start(nil)()
				r.sentOnce(id)
				r.untouched()
				r.noRelayDrafts()
			})
		}
	}
}

// TestTwinsHaveDraftsOfTheirOwn: the same signed mail is submitted twice, and the first
// answers to its drafts are lost. Neither takes the draft of the other.
func TestTwinsHaveDraftsOfTheirOwn(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if requests["create"](req) && r.sim.Stats().Calls[simulator.OpCreateMIME] < 2 {
			r.sim.ServeHTTP(httptest.NewRecorder(), req)
			panic(http.ErrAbortHandler)
		}
		r.sim.ServeHTTP(w, req)
	}
	ids := []string{r.submit(signed("twins"), r.to(anna, "bob@example.org")), r.submit(signed("twins"), r.to(anna, "bob@example.org"))}
	defer r.start(nil)()
	for _, id := range ids {
		r.await(id, queue.Sent)
	}
	if n := len(r.sim.Ledger()); n != 2 {
		t.Errorf("%d were sent, want 2\n%s\n%s", n, r.history(ids[0]), r.history(ids[1]))
	}
}

// TestOwnItemIsFoundByAnyClock: the queue's clock is another than the service's, as on the nodes of
// a queue that is shared. What a lost answer has left in the mailbox is found by its Message-ID all
// the same, and what was there before is not taken for it.
func TestOwnItemIsFoundByAnyClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		for lost, f := range map[string]simulator.Fault{
			"create": {Operation: simulator.OpCreateMIME, Nth: 1, Reset: true, After: true},
			"send":   {Operation: simulator.OpSend, Nth: 1, Reset: true, After: true},
		} {
			t.Run(name+"/"+lost, func(t *testing.T) {
				r := newRig(t, simulator.Options{World: forgetful})
				r.clock.set(ahead)
				r.reopen()
				r.plantAlike(simulator.Drafts, "clocks", time.Now().Add(-time.Minute))
				r.plantAlike(simulator.SentItems, "clocks", time.Now().Add(-time.Minute))
				r.fault(f)
				id := r.submit(signed("clocks"), r.to(anna, "bob@example.org"))
				defer r.start(nil)()
				r.sentOnce(id)
				r.untouched()
				r.noRelayDrafts()
				if calls := r.sim.Stats().Calls; calls[simulator.OpCreateMIME] != 1 || calls[simulator.OpSend] != 1 {
					t.Errorf("%d drafts were made and %d sends requested, want one of each\n%s", calls[simulator.OpCreateMIME], calls[simulator.OpSend], r.history(id))
				}
			})
		}
	}
}
