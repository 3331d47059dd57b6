package durability

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// stormy sends mail with attachments through a relay for as long as it takes.
func stormy(relay *harness.Relay, title string, messages int) *harness.Outbox {
	plain := harness.TenKilobytes(title)
	return &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return relay.Dial("devices") },
		Connections: 8, Messages: messages,
		Make: func(n int) harness.Sample {
			s := plain(n)
			if n%3 == 0 {
				s.Files = []harness.File{{Name: "small.bin", Type: "application/octet-stream", Content: harness.Noise("small", 20_000)}}
			}
			return s
		},
	}
}

// TestStorm has Graph refuse a fifth of everything, with and without Retry-After.
func TestStorm(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.DeliveryKey("send_settle: 5s"), harness.DeliveryKey("retry_delays: [50ms, 200ms]"))
	sim.Fault(t, simulator.Fault{Status: http.StatusTooManyRequests, Code: "ApplicationThrottled", RetryAfter: "0.2", Probability: 0.08})
	sim.Fault(t, simulator.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "1", Probability: 0.02})
	sim.Fault(t, simulator.Fault{Status: http.StatusServiceUnavailable, Probability: 0.08})
	sim.Fault(t, simulator.Fault{Status: http.StatusTooManyRequests, Probability: 0.02})
	o := stormy(relay, "storm", 60)
	o.Await(t, o.Start())
	relay.Settled(t)
	o.Check(t, sim)
	if n := relay.Metric(t, "graphrelay_graph_throttled_total"); n == 0 {
		t.Error("the metrics know of no throttling")
	}
}

// TestOutage takes away, one after the other, the token endpoint, Graph's address and
// the client secret. Nothing is lost or doubled, no try is burnt, and the metric of the
// oldest message tells.
func TestOutage(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	through := *sim
	through.URL = "http://127.0.0.1:" + strconv.Itoa(harness.FreePort(t))
	relay := harness.NewRelay(t, &through, harness.DeliveryKey("send_settle: 5s"), harness.DeliveryKey("retry_delays: [200ms]"))
	good := harness.ReadFile(t, relay.Config)
	const messages = 20
	outage := func(title string, end func()) {
		t.Helper()
		o := stormy(relay, title, messages)
		o.Await(t, o.Start())
		harness.WaitFor(t, "the age of the oldest message", func() bool { return relay.Metric(t, "graphrelay_queue_oldest_seconds") > 2 })
		if n := len(sim.Ledger(t)); n > 0 {
			t.Errorf("%s: %d messages were sent", title, n)
		}
		end()
		relay.Settled(t)
		o.Check(t, sim)
		checkTries(t, relay, messages)
		sim.Reset(t)
	}

	relay.Start(t) // Graph's address refuses connections
	outage("refused", func() { serveThrough(t, sim, &through) })
	relay.Stop(t)

	sim.Fault(t, simulator.Fault{Operation: simulator.OpToken, Status: http.StatusInternalServerError})
	relay.Start(t)
	outage("token", func() { sim.ClearFaults(t) })
	relay.Stop(t)

	relay.Write(t, good, harness.Replace("client_secret: simulated", "client_secret: revoked"))
	relay.Start(t)
	outage("secret", func() {
		relay.Write(t, good)
		relay.Signal(syscall.SIGHUP)
	})
}

// serveThrough lets the simulator be reached by another address.
func serveThrough(t *testing.T, sim, through *harness.Sim) {
	t.Helper()
	l, err := net.Listen("tcp", strings.TrimPrefix(through.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxyTo(t, sim.URL)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// checkTries wants every message sent at its first try that counted.
func checkTries(t *testing.T, r *harness.Relay, atLeast int) {
	t.Helper()
	got := r.QueueCommand(t, "list", "--json", "--state", "sent")
	sent := 0
	for line := range strings.Lines(got.Stdout) {
		var q struct {
			ID, Subject string
			Attempts    int
		}
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatal(err)
		}
		sent++
		if q.Attempts != 1 {
			t.Errorf("%q was tried %d times", q.Subject, q.Attempts)
		}
	}
	if sent < atLeast {
		t.Errorf("%d messages are sent, want %d", sent, atLeast)
	}
}
