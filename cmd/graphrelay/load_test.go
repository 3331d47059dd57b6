package main_test

import (
	"strings"
	"testing"
)

// TestLoad sends 1,000 messages over 64 connections; each arrives once.
func TestLoad(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	o := &outbox{
		dial:        func() (*dialog, error) { return relay.dial("submission") },
		connections: 64, messages: 1000, make: tenKilobytes("load"),
	}
	o.await(t, o.start())
	relay.settled(t)
	o.check(t, sim)
}

// TestPostfix has Postfix send 1,000 messages over connections that it uses again.
func TestPostfix(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	postfix := startPostfix(t, relay.address["devices"])
	o := &outbox{
		dial:        func() (*dialog, error) { return dialAddress(postfix.address, false) },
		connections: 16, messages: 1000, make: tenKilobytes("postfix"),
	}
	o.await(t, o.start())
	waitFor(t, "all messages from Postfix", func() bool {
		return relay.metric(t, "graphrelay_messages_accepted_total") >= float64(o.messages)
	})
	relay.settled(t)
	o.check(t, sim)
	if n := strings.Count(postfix.log(t), " conn_use="); n < o.messages/2 {
		t.Errorf("Postfix used a connection again for %d of %d messages only", n, o.messages)
	}
}
