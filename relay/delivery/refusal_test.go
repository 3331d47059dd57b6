package delivery_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// A message that Graph refuses permanently fails with its reason, and leaves no draft.
func TestRefusedForGood(t *testing.T) {
	limits := smallLimits()
	limits.Message = 100_000
	r := newRig(t, simulator.Options{Limits: limits, SendAs: map[string][]string{}})
	big := attached{"big.bin", "application/zip", "", false, random(200_000)}
	alias := r.to("denied@contoso.test", "bob@example.org")
	alias.From = "boss@contoso.test"
	reasons := map[string]reason.Reason{
		r.submit(compose(header("a"), "text"), r.to("missing@contoso.test", "bob@example.org")):               "mailbox_unknown",
		r.submit(compose(header("b"), "text", smallFiles...), r.to("recipients@contoso.test", "bob example")): "invalid_recipients",
		r.submit(compose(header("c"), "text"), alias):                                                         "send_denied",
		r.submit(compose(header("d"), "text", big), r.to("large@contoso.test", "bob@example.org")):            "too_large",
	}
	defer r.start(nil)()
	for id, reason := range reasons {
		end := queue.Failed
		if reason == "mailbox_unknown" {
			end = queue.Held // it cannot bounce either
		}
		rec := r.await(id, end)
		if rec.Reason != reason || rec.Detail == "" || len(r.deliveries(id)) != 0 || rec.Attempts != 1 {
			t.Errorf("reason %s, detail %q after %d attempts; want %s\n%s", rec.Reason, rec.Detail, rec.Attempts, reason, r.history(id))
		}
	}
	r.noDrafts()
}

// A send that was refused has happened all the same: what was sent is not removed, and its
// sender gets no bounce.
func TestRefusedAndSent(t *testing.T) {
	r := newRig(t, simulator.Options{SendDelay: -1})
	r.fault(simulator.Fault{Operation: simulator.OpSend, Status: 400, Code: "ErrorInvalidRecipients", After: true})
	id := r.submit(compose(header("both"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.sentOnce(id)
	if len(r.notifications(id)) != 0 {
		t.Errorf("the sender got a bounce\n%s", r.history(id))
	}
	if n := r.deletes(); n != 0 || !strings.Contains(r.history(id), "was sent although Graph refused it") {
		t.Errorf("%d deletes\n%s", n, r.history(id))
	}
}

func TestDraftThatCannotBeRemoved(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.keepItems()
	id := r.submit(compose(header("left"), "text"), r.to(anna, "bob example"))
	defer r.start(nil)()
	r.await(id, queue.Failed)
	if h := r.history(id); !strings.Contains(h, "draft left behind") {
		t.Errorf("the history does not show the draft:\n%s", h)
	}
}

// A message that has waited too long fails, and its draft is removed, even one whose id was
// never learned.
func TestGiveUp(t *testing.T) {
	held := map[string]bool{"no access": true} // a mailbox that cannot be used cannot bounce either
	for name, f := range map[string]simulator.Fault{
		"no draft":      {Operation: simulator.OpCreate, Status: 500},
		"unknown draft": {Operation: simulator.OpCreate, Status: 504, After: true},
		"known draft":   {Operation: simulator.OpAttachment, Reset: true},
		"send refused":  {Operation: simulator.OpSend, Status: 429, RetryAfter: "0.01"},
		"no access":     {Operation: simulator.OpSend, Status: 403, Code: "ErrorAccessDenied", RetryAfter: "0.01"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.cfg.GiveUpAfter = time.Millisecond
			r.fault(f)
			id := r.submit(compose(header("give up"), "text", smallFiles[0]), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			end := queue.Failed
			if held[name] {
				end = queue.Held
			}
			rec := r.await(id, end)
			if !strings.HasPrefix(rec.Detail, "gave up after 1ms; last: ") || rec.Reason == "" {
				t.Errorf("%s: %s", rec.Reason, rec.Detail)
			}
			r.noDrafts()
		})
	}
}

// A message that is refused for now is tried again, and shows why it waits.
func TestTryAgain(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 500, Count: 3})
	id := r.submit(compose(header("again"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.sentOnce(id)
	if rec := r.get(id); rec.Attempts != 4 {
		t.Errorf("%d attempts", rec.Attempts)
	}
}

// Retry-After is obeyed, whatever the code, and stops only the lane that got it.
func TestThrottledLane(t *testing.T) {
	r := newRig(t, simulator.Options{})
	waiting := map[string]string{}
	for name, f := range map[string]simulator.Fault{
		"429":         {Status: 429, Code: "ApplicationThrottled", RetryAfter: "3000"},
		"503":         {Status: 503, RetryAfter: "3000"},
		"503-unknown": {Status: 503, Code: "UnknownError", RetryAfter: "3000"},
		"500":         {Status: 500, RetryAfter: "3000"},
	} {
		f.Mailbox = name + "@contoso.test"
		f.Operation = simulator.OpCreate
		r.fault(f)
		for range 10 {
			waiting[r.submit(compose(header("wait"), "text"), r.to(f.Mailbox, "bob@example.org"))] = name
		}
	}
	r.cfg.Concurrency, r.cfg.PerLane = 2, 1
	var others []string
	for range 10 {
		others = append(others, r.submit(compose(header("go"), "text"), r.to(anna, "bob@example.org")))
	}
	defer r.start(nil)()
	for _, id := range others {
		r.sentOnce(id)
	}
	deferred := map[string]int{}
	for id, name := range waiting {
		rec := r.get(id)
		switch rec.State {
		case queue.Deferred:
			deferred[name]++
			if rec.Attempts != 0 || time.Until(rec.Due) < 40*time.Minute {
				t.Errorf("%s: %d attempts, due in %s", name, rec.Attempts, time.Until(rec.Due))
			}
		case queue.Queued:
		default:
			t.Errorf("%s: %s", name, rec.State)
		}
	}
	for _, name := range []string{"429", "503", "503-unknown", "500"} {
		if deferred[name] > 1 {
			t.Errorf("%s: %d messages of a paused lane were tried", name, deferred[name])
		}
	}
}

// A fault of a connection costs no attempts and stops only its own lanes.
func TestConnectionFault(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.connect("bad", "wr0ng~secret")
	r.cfg.PerLane = 1
	bad := queue.Entry{Lane: queue.Lane{Connection: "bad", Mailbox: "a@contoso.test"}, Envelope: queue.Envelope{To: []string{"bob@example.org"}}}
	first := r.submit(compose(header("bad"), "text"), bad)
	stop := r.start(nil)
	rec := r.await(first, queue.Deferred)
	if rec.Reason != "sign_in" || rec.Attempts != 0 || strings.Contains(rec.Detail, "wr0ng~secret") {
		t.Errorf("%s after %d attempts: %s", rec.Reason, rec.Attempts, rec.Detail)
	}
	bad.Lane.Mailbox = "b@contoso.test"
	second := r.submit(compose(header("bad"), "text"), bad)
	for range 5 {
		r.sentOnce(r.submit(compose(header("good"), "text"), r.to(anna, "bob@example.org")))
	}
	stop()
	if rec := r.get(second); rec.State != queue.Queued {
		t.Errorf("another lane of the connection is %s", rec.State)
	}
	if n := r.sim.Stats().Calls[simulator.OpToken]; n != 2 { // one each
		t.Errorf("%d token requests", n)
	}
}

// A refused mailbox stops its own lane alone, and counts as an attempt.
func TestMailboxFault(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: "full@contoso.test", Status: 403, Code: "ErrorQuotaExceeded"})
	id := r.submit(compose(header("full"), "text"), r.to("full@contoso.test", "bob@example.org"))
	defer r.start(nil)()
	rec := r.await(id, queue.Deferred)
	if rec.Reason != "mailbox_full" || rec.Attempts != 1 || time.Until(rec.Due) < time.Minute {
		t.Errorf("%s after %d attempts, due in %s", rec.Reason, rec.Attempts, time.Until(rec.Due))
	}
	r.sentOnce(r.submit(compose(header("good"), "text"), r.to(anna, "bob@example.org")))
}

func TestConnectionThatWasRemoved(t *testing.T) {
	r := newRig(t, simulator.Options{})
	e := r.to(anna, "bob@example.org")
	e.Lane.Connection = "gone"
	id := r.submit(compose(header("gone"), "text"), e)
	defer r.start(nil)()
	if rec := r.await(id, queue.Held); rec.Reason != "connection_removed" || !strings.Contains(rec.Detail, "gone") {
		t.Errorf("%s: %s", rec.Reason, rec.Detail)
	}
}
