package load

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// graphLatency is what the simulator adds to every call.
const graphLatency = 150 * time.Millisecond

// TestDeliveryRate prints what part of Graph's limit the relay reaches when each call
// takes 150 ms. The limit is 4 requests at a time to one mailbox, and a message takes
// two. On a busy machine the simulator's calls take longer. "In use" is the part of the
// time, from the first call to the last, in which each of the 4 had a request under way.
func TestDeliveryRate(t *testing.T) {
	needCompare(t)
	for _, c := range []struct{ mailboxes, each int }{{1, 200}, {50, 98}} {
		bound := time.Duration(c.each) * 2 * graphLatency / 4
		var shares, uses []float64
		for range *rounds {
			t.Run(fmt.Sprintf("%d mailboxes", c.mailboxes), func(t *testing.T) {
				took, calls := deliveryTime(t, c.mailboxes, c.each)
				shares = append(shares, float64(bound)/float64(took))
				uses = append(uses, float64(calls)/float64(took)/float64(4*c.mailboxes))
			})
		}
		t.Logf("%d mailboxes: %s of what Graph allows; in use %s", c.mailboxes, percents(shares), percents(uses))
	}
}

// deliveryTime returns the time from the first request to Graph to the last send, and the
// sum of the times of all requests.
func deliveryTime(t *testing.T, mailboxes, each int) (took, calls time.Duration) {
	sim := harness.ReleasedSim(t, "--latency", graphLatency.String())
	relay := harness.ReleasedRelay(t, sim, harness.DeliveryKey("concurrency: 400"))
	relay.Start(t)
	relay.PauseAll(t)
	o := &harness.Outbox{
		Dial: func() (*harness.Dialog, error) { return relay.Dial("devices") }, Connections: 16, Messages: mailboxes * each,
		Make: func(n int) harness.Sample {
			s := harness.TenKilobytes("rate")(n)
			s.From = fmt.Sprintf("rate-%d@contoso.test", n%mailboxes)
			return s
		},
	}
	o.Await(t, o.Start())
	if got := relay.QueueCommand(t, "resume", "contoso"); got.Status != 0 {
		t.Fatalf("queue resume: %s", got.Stderr)
	}
	time.Sleep(time.Duration(each) * graphLatency / 2) // undisturbed by who asks how far it is
	harness.WaitFor(t, "all messages", func() bool {
		return relay.Metric(t, "graphrelay_messages_delivered_total") >= float64(o.Messages)
	})
	o.Check(t, sim)
	var first time.Time
	for _, c := range harness.View[[]simulator.Call](t, sim, "journal") {
		if c.Mailbox == "" {
			continue // for a token
		}
		calls += c.Duration
		if first.IsZero() || c.Time.Before(first) {
			first = c.Time
		}
	}
	ledger := sim.Ledger(t)
	return ledger[len(ledger)-1].Time.Sub(first), calls
}
