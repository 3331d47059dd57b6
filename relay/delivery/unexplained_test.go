package delivery_test

import (
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// A refusal with a code that nobody has described yet may pass: it is retried, and final
// only once it has lasted.
func TestUnexplainedRefusal(t *testing.T) {
	for _, op := range []simulator.Operation{simulator.OpCreate, simulator.OpAttachment, simulator.OpSend} {
		t.Run(string(op), func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.out.RetryUnexplained = time.Hour
			fault := r.fault(simulator.Fault{Operation: op, Count: 3, Status: 400, Code: "ErrorNeverSeenBefore"})
			id := r.submit(compose(header("s"), "text", attached{name: "a.bin", kind: "application/octet-stream", data: random(2000)}), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			r.sentOnce(id)
			if n := r.acted(fault); n != 3 {
				t.Errorf("refused %d times", n)
			}
			r.noDrafts()
		})
	}
}

func TestUnexplainedRefusalBecomesFinal(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.RetryUnexplained = 200 * time.Millisecond
	fault := r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: "odd@contoso.test", Status: 400, Code: "ErrorNeverSeenBefore"})
	id := r.submit(compose(header("s"), "text"), r.to("odd@contoso.test", "bob@example.org"))
	defer r.start(nil)()
	rec := r.await(id, queue.Failed, queue.Held) // held if its bounce is refused too
	if rec.Reason != reason.InvalidMessage || r.acted(fault) < 3 {
		t.Errorf("%s for %s after %d refusals", rec.State, rec.Reason, r.acted(fault))
	}
}

// What concerns a mailbox, be it moved, elsewhere or stopped, pauses its lane and fails no
// message.
func TestRefusalsOfTheMailbox(t *testing.T) {
	for code, want := range map[string]reason.Reason{
		"ErrorMailboxMoveInProgress": reason.Unavailable, "ResourceNotFound": reason.MailboxUnknown,
		"ErrorExceededHourlyMessageLimit": reason.SendingBlocked, "ErrorAccountSuspend": reason.SendingBlocked,
	} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			status := 400
			if code == "ResourceNotFound" {
				status = 404
			}
			fault := r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: status, Code: code})
			first := r.submit(compose(header("one"), "text"), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			if rec := r.await(first, queue.Deferred); rec.Reason != want {
				t.Errorf("deferred for %s: %s", rec.Reason, rec.Detail)
			}
			lanes, err := r.store.Lanes(t.Context())
			if err != nil || len(lanes) != 1 || time.Until(lanes[0].PausedUntil) < time.Minute || lanes[0].PausedFor != want {
				t.Errorf("the lane: %+v, %v", lanes, err)
			}
			if n := r.acted(fault); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}
