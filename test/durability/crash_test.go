package durability

import (
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestCrash kills the relay several times, while it accepts mail and while it delivers.
// Every message that had a 250 is sent once, and no draft remains.
func TestCrash(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t, "--latency", "250ms")
	// The watch of a doubtful send is longer than the simulator takes to carry out
	// what a killed relay had asked for.
	relay := harness.StartRelay(t, sim, harness.DeliveryKey("send_settle: 6s"))
	// Slow sends make a backlog for the kills that come after the last 250.
	sim.Fault(t, simulator.Fault{Operation: simulator.OpSend, Latency: time.Second})
	large := harness.NewFile(t, "large.bin", "application/octet-stream", harness.Noise("large", 3_400_000))
	small := harness.NewFile(t, "small.bin", "application/octet-stream", harness.Noise("small", 20_000))
	plain := harness.TenKilobytes("crash")
	o := &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return relay.Dial("devices") },
		Connections: 16, Messages: 1000,
		Make: func(n int) harness.Sample {
			s := plain(n)
			switch {
			case n%100 == 0:
				s.Files = []harness.File{small, large, small}
			case n%4 == 0:
				s.Files = []harness.File{small, small}
			}
			return s
		},
	}
	restart := func() {
		relay.Kill(t)
		relay.Start(t)
	}
	done := o.Start()
	defer o.Stop.Store(true)
	const kills = 2 // of either kind; TestCrashMatrix has more
	for k := range kills {
		harness.WaitFor(t, "messages to be accepted", func() bool { return o.AcceptedCount() >= o.Messages*(k+1)/(kills+1) })
		restart()
	}
	o.Await(t, done)
	sim.ClearFaults(t)
	before := sim.Sends(t)
	for k := range kills {
		harness.WaitFor(t, "messages to be sent", func() bool { return sim.Sends(t) >= before+(o.Messages-before)*(k+1)/(kills+1) })
		restart()
	}
	relay.Settled(t)
	o.Check(t, sim)
	t.Logf("%d messages were sent before the last was accepted; %d tries had no answer", before, len(o.Doubtful))
}
