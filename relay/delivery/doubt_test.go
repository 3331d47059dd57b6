package delivery_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// A request that the client gave up may still take effect later: here after the next
// attempt has counted the files. The message must not carry one of them twice.
func TestAttachmentThatComesLate(t *testing.T) {
	r := newRig(t, simulator.Options{})
	var mu sync.Mutex
	var late func()
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if !requests["attach"](req) {
			r.sim.ServeHTTP(w, req)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if late == nil {
			first := again(req, bodyOf(req))
			late = sync.OnceFunc(func() { r.sim.ServeHTTP(httptest.NewRecorder(), first) })
			panic(http.ErrAbortHandler)
		}
		r.sim.ServeHTTP(w, req)
		late()
	}
	files := smallFiles[:1]
	id := r.submit(compose(header("late"), "text", files...), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	sameFiles(t, r.message(r.sentOnce(id)).Attachments, files)
	r.noDrafts()
}

// remove removes the item of a request from the mailbox, as its owner may.
func (r *rig) remove(req *http.Request) {
	del := req.Clone(req.Context())
	del.Method, del.Body, del.ContentLength = http.MethodDelete, http.NoBody, 0
	del.URL.Path = strings.TrimSuffix(del.URL.Path, "/send")
	r.sim.ServeHTTP(httptest.NewRecorder(), del)
}

// If it can never be known whether the message was sent, only the operator may decide.
func TestSendThatCannotBeLookedUp(t *testing.T) {
	r := newRig(t, simulator.Options{SendDelay: -1})
	r.out.SendSettle = 200 * time.Millisecond
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if !requests["send"](req) {
			r.sim.ServeHTTP(w, req)
			return
		}
		r.sim.ServeHTTP(httptest.NewRecorder(), req)
		r.remove(req)
		panic(http.ErrAbortHandler)
	}
	id := r.submit(compose(header("gone"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	rec := r.await(id, queue.Held)
	if rec.Reason != "send_unknown" || graphmail.StepsOf(rec.Progress).DraftID != "" || len(r.deliveries(id)) != 1 {
		t.Errorf("reason %s, progress %+v, %d sends", rec.Reason, graphmail.StepsOf(rec.Progress), len(r.deliveries(id)))
	}
}

// A draft that was removed before it could be sent is made anew: a send that was clearly
// refused leaves no doubt.
func TestDraftThatVanishes(t *testing.T) {
	for name, matches := range map[string]func(*http.Request) bool{"at the send": requests["send"], "at a file": requests["attach"]} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			var once sync.Once
			r.front = func(w http.ResponseWriter, req *http.Request) {
				refuse := false
				if matches(req) {
					once.Do(func() {
						refuse = true
						req.URL.Path = strings.TrimSuffix(req.URL.Path, "/attachments")
						r.remove(req)
					})
				}
				if refuse {
					w.Header().Set("Retry-After", "0.01")
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				r.sim.ServeHTTP(w, req)
			}
			id := r.submit(compose(header("vanish"), "text", smallFiles[0]), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles[:1])
			r.noDrafts()
		})
	}
}

// A draft that cannot be found for a moment is waited for, at its files and at the
// send: one made in its place would leave it behind.
func TestDraftThatAppearsLate(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits(), World: simulator.World{AppearDelay: 300 * time.Millisecond}})
	ids := map[string][]attached{
		r.submit(compose(header("none"), "text"), r.to(anna, "bob@example.org")):                               nil,
		r.submit(compose(header("small"), "text", smallFiles[0]), r.to(anna, "bob@example.org")):               smallFiles[:1],
		r.submit(compose(header("large"), "text", smallFiles[1]), r.to("max@contoso.test", "bob@example.org")): smallFiles[1:2],
	}
	defer r.start(nil)()
	for id, files := range ids {
		sameFiles(t, r.message(r.sentOnce(id)).Attachments, files)
		if rec := r.get(id); rec.Attempts != 1 {
			t.Errorf("%d attempts\n%s", rec.Attempts, r.history(id))
		}
	}
	r.noDrafts()
}

// An item that is on its way for longer than it is watched refuses a second send.
// It was sent: the refusal must not fail it, nor remove it.
func TestSecondSendIsRefused(t *testing.T) {
	// On a busy machine the item may have left before the second send. Then it stays longer.
	for delay := 2 * time.Second; ; delay *= 3 {
		r := newRig(t, simulator.Options{InFlight: simulator.InFlightDraft, SendDelay: delay})
		r.out.SendSettle = 50 * time.Millisecond
		r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true, After: true})
		id := r.submit(compose(header("slow"), "text"), r.to(anna, "bob@example.org"))
		stop := r.start(nil)
		r.sentOnce(id)
		stop()
		if n := r.deletes(); n != 0 {
			t.Errorf("%d deletes", n)
		}
		if r.sim.Stats().Calls[simulator.OpSend] >= 2 {
			return
		}
		if delay > guard/3 {
			t.Fatal("a second send was never requested: nothing was tested")
		}
	}
}

// If the item is marked as submitted, no second send is requested, however long it stays.
func TestSubmittedItemIsWaitedFor(t *testing.T) {
	r := newRig(t, simulator.Options{InFlight: simulator.InFlightDraft, SendDelay: 2 * time.Second, MessageFlags: true})
	r.out.SendSettle = 50 * time.Millisecond
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true, After: true})
	id := r.submit(compose(header("slow"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.sentOnce(id)
	if n := r.sim.Stats().Calls[simulator.OpSend]; n != 1 {
		t.Errorf("%d sends were requested\n%s", n, r.history(id))
	}
}

// An item that is marked as not submitted is sent again.
func TestItemThatIsNotSubmittedIsSent(t *testing.T) {
	r := newRig(t, simulator.Options{MessageFlags: true})
	r.out.SendSettle = 50 * time.Millisecond
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true})
	id := r.submit(compose(header("lost"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.sentOnce(id)
	r.noDrafts()
}

// A refusal of the message itself leaves no doubt, even if an earlier send was in doubt.
func TestRefusalAfterDoubt(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.SendSettle = 100 * time.Millisecond
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true})
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 2, Status: 403, Code: "ErrorSendAsDenied"})
	id := r.submit(compose(header("denied"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	if rec := r.await(id, queue.Failed); rec.Reason != "send_denied" {
		t.Errorf("reason %s", rec.Reason)
	}
	r.noDrafts()
}

// The look-up after a lost answer is refused, for whatever reason: the message does not
// fail, and is found sent when the look-up works again.
func TestLookRefused(t *testing.T) {
	for _, code := range []string{"BadRequest", "ErrorInvalidUser", "ErrorAccessDenied"} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true, After: true})
			look := r.fault(simulator.Fault{Operation: simulator.OpGet, Count: 6, Status: 400, Code: code, RetryAfter: "0.01"})
			id := r.submit(compose(header("look"), "text"), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			r.sentOnce(id)
			if r.acted(look) != 6 {
				t.Errorf("%d look-ups were refused", r.acted(look))
			}
		})
	}
}

// The doubt does not end: the message is held, not failed, and its draft left
// alone.
func TestDoubtWithoutEnd(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"no look-up": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"submitted for good": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"id":"AAQ","isDraft":true,"singleValueExtendedProperties":[{"id":"Integer 0xe07","value":"12"}]}`)
		},
	}
	for name, look := range answers {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.out.SendSettle, r.cfg.GiveUpAfter = 100*time.Millisecond, time.Millisecond
			r.fault(simulator.Fault{Operation: simulator.OpSend, Reset: true})
			r.front = func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodGet {
					look(w, req)
					return
				}
				r.sim.ServeHTTP(w, req)
			}
			id := r.submit(compose(header("doubt"), "text"), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			rec := r.await(id, queue.Held)
			if rec.Reason != "send_unknown" || graphmail.StepsOf(rec.Progress).DraftID == "" || r.deletes() != 0 {
				t.Errorf("reason %s, progress %+v", rec.Reason, graphmail.StepsOf(rec.Progress))
			}
		})
	}
}

// Only the draft whose send was requested may be sent: another draft of the message, left
// by an earlier attempt, may lack its files.
func TestLateDraftIsNotSent(t *testing.T) {
	r := newRig(t, simulator.Options{SendDelay: -1})
	r.out.SendSettle = 100 * time.Millisecond
	r.front = func(w http.ResponseWriter, req *http.Request) {
		switch {
		case requests["create"](req): // the draft is made twice
			body := bodyOf(req)
			for _, answer := range []http.ResponseWriter{httptest.NewRecorder(), w} {
				r.sim.ServeHTTP(answer, again(req, body))
			}
		case requests["send"](req):
			r.sim.ServeHTTP(httptest.NewRecorder(), req)
			r.remove(req)
			panic(http.ErrAbortHandler)
		default:
			r.sim.ServeHTTP(w, req)
		}
	}
	id := r.submit(compose(header("late"), "text", smallFiles[0]), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.await(id, queue.Held)
	if n := len(r.deliveries(id)); n != 1 {
		t.Errorf("sent %d times", n)
	}
}
