package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// A message that is watched for long occupies no slot of its lane.
func TestWatchHoldsNothingUp(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.SendSettle, r.cfg.Concurrency, r.cfg.PerLane = time.Hour, 1, 1
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true})
	first := r.submit(compose(header("first"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.await(first, queue.Deferred)
	for i := range 5 {
		r.sentOnce(r.submit(compose(header(fmt.Sprint("next", i)), "text"), r.to(anna, "bob@example.org")))
	}
	if rec := r.get(first); rec.State != queue.Deferred && rec.State != queue.Delivering || rec.Reason != "network" && rec.Reason != "confirming" || len(r.deliveries(first)) != 0 {
		t.Errorf("the first is %s, %s\n%s", rec.State, rec.Reason, r.history(first))
	}
}

// Graph may only begin with a request when its answer is given up. The watch begins then.
func TestWatchBeginsWhenTheAnswerIsLost(t *testing.T) {
	r := newRig(t, simulator.Options{InFlight: simulator.InFlightDraft, SendDelay: 2 * time.Second})
	r.timeout = 1500 * time.Millisecond
	r.connect("main", secret)
	r.out.SendSettle = time.Second
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Hang: guard, After: true})
	id := r.submit(compose(header("slow"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.sentOnce(id)
	if n := r.sim.Stats().Calls[simulator.OpSend]; n != 1 {
		t.Errorf("%d sends were requested\n%s", n, r.history(id))
	}
}

// In a bulk run Exchange carries messages over: the watch is longer by the time that it
// needs for those before.
func TestWatchInABulkRun(t *testing.T) {
	r := newRig(t, simulator.Options{})
	stop := r.start(nil)
	var ids []string
	for range 60 { // a minute's worth more than goes at once
		ids = append(ids, r.submit(compose(header("bulk"), "text"), r.to(anna, "bob@example.org")))
	}
	for _, id := range ids {
		r.await(id, queue.Sent)
	}
	r.fault(simulator.Fault{Operation: simulator.OpSend, Reset: true})
	id := r.submit(compose(header("lost"), "text"), r.to(anna, "bob@example.org"))
	other := r.submit(compose(header("lost"), "text"), r.to("other@contoso.test", "bob@example.org"))
	watch := func(id string) time.Duration {
		p := graphmail.StepsOf(r.await(id, queue.Deferred).Progress)
		return p.Settle.Sub(p.SendWanted)
	}
	if bulk, alone := watch(id), watch(other); bulk < 2*r.out.SendSettle || bulk < alone {
		t.Errorf("it is watched for %s, one of another mailbox for %s", bulk, alone)
	}
	stop()
}
