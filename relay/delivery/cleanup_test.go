package delivery_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// cleanedUp waits until no cleanup is left.
func (r *rig) cleanedUp() {
	r.t.Helper()
	if !r.eventually(func() bool { return !r.hasCleanup() }) {
		r.t.Error("a cleanup is left")
	}
}

func (r *rig) hasCleanup() bool {
	_, err := r.store.NextCleanup(r.t.Context(), "")
	return err == nil
}

// A message that the operator deletes leaves no draft behind, not even one whose id was
// never learned. What was sent all the same stays.
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
			r.out.SendSettle = time.Hour
			r.fault(tt.fault)
			id := r.submit(compose(header("deleted"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			r.await(id, queue.Deferred)
			stop()
			if !r.eventually(func() bool { return len(r.sim.Drafts()) == tt.drafts }) {
				t.Fatalf("%d drafts, want %d", len(r.sim.Drafts()), tt.drafts)
			}
			if err := r.store.Apply(t.Context(), id, queue.Delete, "test"); err != nil {
				t.Fatal(err)
			}
			r.reopen()
			defer r.start(nil)()
			r.noDrafts()
			if n := len(r.sim.Sent()); n != tt.sent {
				t.Errorf("%d sent copies, want %d", n, tt.sent)
			}
			if name == "known draft" {
				r.cleanedUp()
			}
		})
	}
}

// A message fails, and its draft cannot be removed or found then: it is removed later, also
// by another process.
func TestFailedMessageLeavesNoDraft(t *testing.T) {
	failing := map[simulator.Operation]simulator.Fault{
		simulator.OpDelete: {Status: 500}, simulator.OpGet: {Status: 503}, simulator.OpList: {Reset: true},
	}
	for name, tt := range map[string]struct {
		to        string
		fault, at simulator.Operation // the first has the message fail, the second keeps the draft
	}{
		"no removal":  {"bob example", simulator.OpSend, simulator.OpDelete},
		"no look":     {"bob example", simulator.OpSend, simulator.OpGet},
		"given up":    {"bob@example.org", simulator.OpAttachment, simulator.OpDelete},
		"not learned": {"bob@example.org", simulator.OpCreate, simulator.OpList},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			if tt.fault != simulator.OpSend {
				r.fault(simulator.Fault{Operation: tt.fault, Reset: true, After: true})
				r.cfg.GiveUpAfter = time.Millisecond
			}
			f := failing[tt.at]
			f.Operation = tt.at
			r.fault(f)
			if tt.at == simulator.OpDelete {
				r.keepItems()
			}
			id := r.submit(compose(header("failed"), "text", smallFiles[0]), r.to(anna, tt.to))
			stop := r.start(nil)
			r.await(id, queue.Failed)
			stop()
			if !strings.Contains(r.history(id), "draft left behind") || !r.hasCleanup() {
				t.Errorf("what is left is not known\n%s", r.history(id))
			}
			r.sim.ClearFaults()
			r.cfg.GiveUpAfter = time.Hour
			r.reopen()
			defer r.start(nil)()
			r.noDrafts()
			if tt.fault != simulator.OpCreate {
				r.cleanedUp()
			}
		})
	}
}

// late makes the first create take effect only when it is called.
func (r *rig) late() (effect func()) {
	var mu sync.Mutex
	var do func()
	r.front = func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		first := do == nil && requests["create"](req)
		if first {
			late := again(req, bodyOf(req))
			do = func() { r.sim.ServeHTTP(httptest.NewRecorder(), late) }
		}
		mu.Unlock()
		if first {
			panic(http.ErrAbortHandler)
		}
		r.sim.ServeHTTP(w, req)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		do()
	}
}

// A draft may appear after its request was given up, after the next attempts have looked
// for it, and after the message has ended.
func TestDraftThatComesAfterTheEnd(t *testing.T) {
	for name, end := range map[string]queue.State{"sent": queue.Sent, "sent under another id": queue.Sent, "failed": queue.Failed} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{NewIDOnSend: name == "sent under another id"}})
			effect := r.late()
			if end == queue.Failed {
				r.cfg.GiveUpAfter = time.Millisecond
			}
			id := r.submit(compose(header("late"), "text", smallFiles[0]), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			r.await(id, end)
			stop()
			if end == queue.Sent {
				sameFiles(t, r.attachmentsOf(r.sentOnce(id)), smallFiles[:1])
			}
			r.noDrafts()
			effect()
			if len(r.sim.Drafts()) != 1 {
				t.Fatalf("%d drafts: nothing is tested", len(r.sim.Drafts()))
			}
			r.cfg.GiveUpAfter = time.Hour
			r.reopen()
			defer r.start(nil)()
			r.noDrafts()
			if n := len(r.deliveries(id)); end == queue.Sent && (n != 1 || len(r.sim.Sent()) != 1) {
				t.Errorf("%d sends, %d copies", n, len(r.sim.Sent()))
			}
		})
	}
}

// What was sent may look like a draft for long. A search for another draft does not take it
// for one, even if its id has changed.
func TestSentItemIsNoOrphan(t *testing.T) {
	r := newRig(t, simulator.Options{InFlight: simulator.InFlightDraft, SendDelay: 2 * time.Second})
	effect := r.late()
	id := r.submit(compose(header("slow"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.await(id, queue.Sent)
	effect()
	r.noDrafts()
	if n := len(r.sim.Sent()); n != 1 {
		t.Errorf("%d sent copies", n)
	}
	if n := r.deletes(); n != 1 {
		t.Errorf("%d deletes", n)
	}
}

// due makes a message due now that a retry has put off.
func (r *rig) due(id string) {
	r.t.Helper()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "queue.db"))
	if err == nil {
		_, err = db.ExecContext(r.t.Context(), "UPDATE message SET due=1 WHERE id=?", id)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	_ = db.Close()
	r.open()
}

// The operator retries a failed message while its draft is still to be removed: the draft is
// used, and not removed meanwhile.
func TestRetryOfAnOrphan(t *testing.T) {
	for name, lost := range map[string]simulator.Operation{"known draft": simulator.OpAttachment, "unknown draft": simulator.OpCreate} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.keepItems()
			for _, op := range []simulator.Operation{lost, simulator.OpList} {
				r.fault(simulator.Fault{Operation: op, Status: 504, After: op == lost})
			}
			r.cfg.GiveUpAfter = time.Millisecond
			id := r.submit(compose(header("again"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			r.await(id, queue.Failed)
			stop() // or the message might fail once more
			if err := r.store.Apply(t.Context(), id, queue.Retry, "test"); err != nil {
				t.Fatal(err)
			}
			if r.hasCleanup() {
				t.Error("it still has a cleanup")
			}
			r.sim.ClearFaults()
			r.cfg.GiveUpAfter = time.Hour
			r.due(id)
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
			r.noDrafts()
			if n := r.sim.Stats().Calls[simulator.OpCreate]; n != 1 {
				t.Errorf("%d drafts were made", n)
			}
		})
	}
}

// The settings change after a draft was made: the message takes the path that they choose
// now, and the draft of the old path is removed.
func TestPathChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		raw   string
		fault simulator.Fault
		dies  int // step at which the first try ends
		now   graphmail.Connection
	}{
		"draft":         {compose(header("path"), "text", smallFiles[0]), simulator.Fault{Operation: simulator.OpAttachment, Status: 500}, 0, graphmail.Connection{DropCopies: true}},
		"unknown draft": {compose(header("path"), "text", smallFiles[0]), simulator.Fault{Operation: simulator.OpCreate, Status: 504, After: true}, 0, graphmail.Connection{DropCopies: true}},
		"mime":          {signed("path"), simulator.Fault{}, 2, graphmail.Connection{SendOnly: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.RetryDelays = []time.Duration{time.Hour}
			id := r.submit(tt.raw, r.to(anna, "bob@example.org"))
			d := &dying{Queue: r.store, left: map[string]int{}, loses: map[string]bool{id: true}}
			if tt.dies > 0 {
				d.left[id] = tt.dies
			} else {
				r.fault(tt.fault)
			}
			stop := r.start(d)
			if !r.eventually(func() bool { return d.dead(id) || r.get(id).State == queue.Deferred }) {
				t.Fatal("the first try does not end")
			}
			stop()
			if n := len(r.sim.Drafts()); n != 1 {
				t.Fatalf("%d drafts: nothing is tested\n%s", n, r.history(id))
			}
			r.sim.ClearFaults()
			r.out.Connections = map[string]graphmail.Connection{"main": tt.now}
			r.due(id)
			defer r.start(nil)()
			if d := r.sentOnce(id); d.Path != simulator.PathSendMail {
				t.Errorf("it went by %s\n%s", d.Path, r.history(id))
			}
			r.noDrafts()
		})
	}
}

// An upload session that is over is replaced by another, and its file is there once.
func TestUploadSessionExpires(t *testing.T) {
	for name, f := range map[string]simulator.Fault{"before the file is there": {Reset: true}, "once it is there": {Reset: true, After: true}} {
		t.Run(name, func(t *testing.T) {
			// On a busy machine, too, the session must outlive its first request.
			r := newRig(t, simulator.Options{Limits: smallLimits(), SessionLife: 2 * time.Second})
			r.cfg.RetryDelays = []time.Duration{2200 * time.Millisecond}
			f.Operation, f.Nth = simulator.OpUpload, 1
			r.fault(f)
			id := r.submit(compose(header("expired"), "text", smallFiles...), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
			r.noDrafts()
			want := 2
			if f.After {
				want = 1
			}
			if n := r.sim.Stats().Calls[simulator.OpCreateSession]; n != want {
				t.Errorf("%d sessions, want %d\n%s", n, want, r.history(id))
			}
		})
	}
}
