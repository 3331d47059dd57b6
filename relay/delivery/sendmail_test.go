package delivery_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// After a sendMail nothing can be looked up. What Graph clearly refuses or puts off was not
// sent; anything else is unknown.
func TestRefusedSendMail(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.timeout = 2 * time.Second
	r.connect("main", secret)
	r.out.Connections = map[string]graphmail.Connection{"main": {SendOnly: true}}
	cases := map[string]struct {
		fault simulator.Fault
		end   queue.State
	}{
		"429":               {simulator.Fault{Status: 429, Code: "ApplicationThrottled", RetryAfter: "0.05"}, queue.Sent},
		"503 retry-after":   {simulator.Fault{Status: 503, Code: "ErrorServerBusy", RetryAfter: "0.05"}, queue.Sent},
		"503":               {simulator.Fault{Status: 503, Code: "ErrorServerBusy"}, queue.Held},
		"503 retry-after 0": {simulator.Fault{Status: 503, RetryAfter: "0"}, queue.Held},
		"500 retry-after":   {simulator.Fault{Status: 500, RetryAfter: "0.05"}, queue.Held},
		"504":               {simulator.Fault{Status: 504, RetryAfter: "0.05"}, queue.Held},
		"reset":             {simulator.Fault{Reset: true}, queue.Held},
		"timeout":           {simulator.Fault{Hang: guard}, queue.Held},
		"400":               {simulator.Fault{Status: 400, Code: "ErrorInvalidRecipients"}, queue.Failed},
	}
	ids := map[string]string{}
	for name, tt := range cases {
		tt.fault.Operation, tt.fault.Nth = simulator.OpSendMail, 1
		tt.fault.Mailbox = strings.ReplaceAll(name, " ", "-") + "@contoso.test"
		r.fault(tt.fault)
		raw := compose(header("sendmail"), "text", smallFiles[0])
		if len(ids)%2 == 0 {
			raw = signed("sendmail")
		}
		ids[name] = r.submit(raw, r.to(tt.fault.Mailbox, "bob@example.org"))
	}
	defer r.start(nil)()
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			r.t = t
			id := ids[name]
			r.eventually(func() bool { // no pause is waited for
				rec := r.get(id)
				_ = r.store.Resume(t.Context(), rec.Lane)
				return rec.State == tt.end
			})
			rec := r.await(id, tt.end)
			if n := len(r.deliveries(id)); tt.end == queue.Sent && n != 1 || tt.end != queue.Sent && n != 0 {
				t.Errorf("sent %d times\n%s", n, r.history(id))
			}
			if tt.end == queue.Held && rec.Reason != "send_unknown" {
				t.Errorf("held for %s", rec.Reason)
			}
		})
	}
	r.t = t
}
