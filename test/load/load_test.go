package load

import (
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestLoad sends 1,000 messages over 64 connections; each arrives once.
func TestLoad(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	o := &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return relay.Dial("submission") },
		Connections: 64, Messages: 1000, Make: harness.TenKilobytes("load"),
	}
	o.Await(t, o.Start())
	relay.Settled(t)
	o.Check(t, sim)
}

// TestPostfix has Postfix send 1,000 messages over connections that it uses again.
func TestPostfix(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	postfix := harness.StartPostfix(t, relay.Address["devices"])
	o := &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return harness.DialAddress(postfix.Address, false) },
		Connections: 16, Messages: 1000, Make: harness.TenKilobytes("postfix"),
	}
	o.Await(t, o.Start())
	harness.WaitFor(t, "all messages from Postfix", func() bool {
		return relay.Metric(t, "graphrelay_messages_accepted_total") >= float64(o.Messages)
	})
	relay.Settled(t)
	o.Check(t, sim)
	if n := strings.Count(postfix.Log(t), " conn_use="); n < o.Messages/2 {
		t.Errorf("Postfix used a connection again for %d of %d messages only", n, o.Messages)
	}
}
