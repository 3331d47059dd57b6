package main_test

import (
	"testing"
	"time"

	"graphrelay/graph/simulator"
)

// TestCrash kills the relay again and again, while it takes mail and while it
// delivers. Everything that had a 250 is sent once, and no draft remains.
func TestCrash(t *testing.T) {
	t.Parallel()
	sim := startSim(t, "--latency", "250ms")
	// The watch of a doubtful send is longer than the simulator takes to carry out
	// what a killed relay had asked for.
	relay := startRelay(t, sim, deliveryKey("send_settle: 6s"))
	// Slow sends make a backlog for the kills that come after the last 250.
	sim.fault(t, simulator.Fault{Operation: simulator.OpSend, Latency: time.Second})
	large := newFile(t, "large.bin", "application/octet-stream", noise("large", 3_400_000))
	small := newFile(t, "small.bin", "application/octet-stream", noise("small", 20_000))
	plain := tenKilobytes("crash")
	o := &outbox{
		dial:        func() (*dialog, error) { return relay.dial("devices") },
		connections: 16, messages: 1000,
		make: func(n int) sample {
			s := plain(n)
			switch {
			case n%100 == 0:
				s.Files = []sampleFile{small, large, small}
			case n%4 == 0:
				s.Files = []sampleFile{small, small}
			}
			return s
		},
	}
	restart := func() {
		relay.kill(t)
		relay.start(t)
	}
	done := o.start()
	defer o.stop.Store(true)
	const kills = 2 // of either kind; TestCrashMatrix has more
	for k := range kills {
		waitFor(t, "messages to be accepted", func() bool { return o.acceptedCount() >= o.messages*(k+1)/(kills+1) })
		restart()
	}
	o.await(t, done)
	sim.clearFaults(t)
	before := len(sim.ledger(t))
	for k := range kills {
		waitFor(t, "messages to be sent", func() bool { return len(sim.ledger(t)) >= before+(o.messages-before)*(k+1)/(kills+1) })
		restart()
	}
	relay.settled(t)
	o.check(t, sim)
	t.Logf("%d messages were sent before the last was accepted; %d tries had no answer", before, len(o.doubtful))
}
