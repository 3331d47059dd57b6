package delivery_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// copyless is a rig whose messages leave no copy, although they go as drafts.
func (r *rig) copyless(c graphmail.Connection) {
	c.DropCopies = true
	r.out.Connections = map[string]graphmail.Connection{"main": c}
}

// Copies that nobody wants are deleted for good, so that they do not fill Recoverable Items,
// and only elsewhere as an owner deletes them.
func TestCopiesAreDeletedForGood(t *testing.T) {
	for name, tt := range map[string]struct {
		world     simulator.World
		soft      bool
		folder    string
		permanent int // calls for two messages
	}{
		"global cloud":             {simulator.World{}, false, simulator.Purges, 2},
		"known to be missing":      {simulator.World{NoPermanentDelete: true}, true, simulator.RecoverableItems, 0},
		"missing with 400":         {simulator.World{NoPermanentDelete: true}, false, simulator.RecoverableItems, 1},
		"missing with 404":         {simulator.World{NoPermanentDelete: true, MissingStatus: 404}, false, simulator.RecoverableItems, 1},
		"missing with 405":         {simulator.World{NoPermanentDelete: true, MissingStatus: 405}, false, simulator.RecoverableItems, 1},
		"missing with 501":         {simulator.World{NoPermanentDelete: true, MissingStatus: 501}, false, simulator.RecoverableItems, 1},
		"missing with 403":         {simulator.World{NoPermanentDelete: true, MissingStatus: 403}, false, simulator.RecoverableItems, 1},
		"it always fails with 500": {simulator.World{NoPermanentDelete: true, MissingStatus: 500}, false, simulator.RecoverableItems, 2},
	} {
		t.Run(name, func(t *testing.T) {
			tt.world.DeleteTo = simulator.DeleteToRecoverable
			r := newRig(t, simulator.Options{World: tt.world})
			r.copyless(graphmail.Connection{NoPermanentDelete: tt.soft})
			defer r.start(nil)()
			for n := range 2 {
				id := r.submit(signed(fmt.Sprintf("copy%d", n)), r.to(anna, "bob@example.org"))
				r.sentOnce(id)
				if !strings.Contains(r.history(id), "sent copy removed") {
					t.Errorf("the copy was not removed:\n%s", r.history(id))
				}
			}
			if got := r.sim.Stats().Folders; got[tt.folder] != 2 {
				t.Errorf("items are in %v, want 2 in %s", got, tt.folder)
			}
			if n := r.sim.Stats().Calls[simulator.OpPermanentDelete]; n != tt.permanent {
				t.Errorf("%d permanent deletes, want %d", n, tt.permanent)
			}
		})
	}
}

// A 404 also means that the item is gone. Then the action is not missing.
func TestGoneIsNotMissing(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.copyless(graphmail.Connection{})
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/permanentDelete") && r.sim.Stats().Calls[simulator.OpPermanentDelete] == 0 {
			r.sim.ServeHTTP(httptest.NewRecorder(), again(req, nil))
		}
		r.sim.ServeHTTP(w, req)
	}
	defer r.start(nil)()
	for n := range 2 {
		r.sentOnce(r.submit(signed(fmt.Sprintf("gone%d", n)), r.to(anna, "bob@example.org")))
	}
	if calls := r.sim.Stats().Calls; calls[simulator.OpPermanentDelete] != 3 || calls[simulator.OpDelete] != 1 {
		t.Errorf("%d permanent deletes and %d others, want 3 and 1", calls[simulator.OpPermanentDelete], calls[simulator.OpDelete])
	}
}

// An item that was deleted can still be read, and not be deleted again. That is no reason to
// try for ever, nor to count it again.
func TestDeletedDraftIsDone(t *testing.T) {
	for name, soft := range map[string]bool{"permanent": false, "soft": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{DeleteTo: simulator.DeleteToRecoverable}})
			r.out.Connections = map[string]graphmail.Connection{"main": {NoPermanentDelete: soft}}
			op := simulator.OpPermanentDelete
			if soft {
				op = simulator.OpDelete
			}
			r.fault(simulator.Fault{Operation: op, Nth: 1, Reset: true, After: true})
			id := r.refused(anna, nil)
			defer r.start(nil)()
			r.await(id, queue.Failed)
			r.cleanedUp()
			if n := r.deletes(); n != 2 {
				t.Errorf("%d deletes, want 2", n)
			}
			if strings.Contains(r.log.String(), "draft of an ended message removed") {
				t.Error("what was deleted before is said to have been removed")
			}
		})
	}
}

// A draft that someone has deleted may still be shown as one, but it cannot be sent. Another
// is made, whether its first send was in doubt or clearly refused.
func TestDeletedDraftIsNotSent(t *testing.T) {
	for name, refuse := range map[string]bool{"in doubt": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{DeleteTo: simulator.DeleteToRecoverable}})
			r.out.SendSettle = 100 * time.Millisecond
			deleted := false
			r.front = func(w http.ResponseWriter, req *http.Request) {
				item, isSend := strings.CutSuffix(req.URL.Path, "/send")
				if !isSend || deleted {
					r.sim.ServeHTTP(w, req)
					return
				}
				deleted = true
				remove := again(req, nil)
				remove.Method, remove.URL.Path, remove.URL.RawPath = http.MethodDelete, item, ""
				answer := httptest.NewRecorder()
				if r.sim.ServeHTTP(answer, remove); answer.Code != http.StatusNoContent {
					t.Errorf("the draft was not deleted: %d", answer.Code)
				}
				if !refuse {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Retry-After", "0.01")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			id := r.submit(compose(header("deleted"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
			if !strings.Contains(r.history(id), "draft was deleted") {
				t.Errorf("nothing was deleted\n%s", r.history(id))
			}
		})
	}
}
