package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"graphrelay/graph/simulator"
)

// stormy sends mail with attachments through a relay for as long as it takes.
func stormy(relay *relayProcess, title string, messages int) *outbox {
	plain := tenKilobytes(title)
	return &outbox{
		dial:        func() (*dialog, error) { return relay.dial("devices") },
		connections: 8, messages: messages,
		make: func(n int) sample {
			s := plain(n)
			if n%3 == 0 {
				s.Files = []sampleFile{{Name: "small.bin", Type: "application/octet-stream", content: noise("small", 20_000)}}
			}
			return s
		},
	}
}

// TestStorm has Graph refuse a fifth of everything, with and without Retry-After.
func TestStorm(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim, deliveryKey("send_settle: 5s"), deliveryKey("retry_delays: [50ms, 200ms]"))
	sim.fault(t, simulator.Fault{Status: http.StatusTooManyRequests, Code: "ApplicationThrottled", RetryAfter: "0.2", Probability: 0.08})
	sim.fault(t, simulator.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "1", Probability: 0.02})
	sim.fault(t, simulator.Fault{Status: http.StatusServiceUnavailable, Probability: 0.08})
	sim.fault(t, simulator.Fault{Status: http.StatusTooManyRequests, Probability: 0.02})
	o := stormy(relay, "storm", 60)
	o.await(t, o.start())
	relay.settled(t)
	o.check(t, sim)
	if n := relay.metric(t, "graphrelay_graph_throttled_total"); n == 0 {
		t.Error("the metrics know of no throttling")
	}
}

// TestOutage takes away, one after the other, the token endpoint, Graph's address and
// the client secret. Nothing is lost or doubled, no try is burnt, and the metric of the
// oldest message tells.
func TestOutage(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	through := *sim
	through.url = "http://127.0.0.1:" + strconv.Itoa(freePort(t))
	relay := newRelay(t, &through, deliveryKey("send_settle: 5s"), deliveryKey("retry_delays: [200ms]"))
	good := readFile(t, relay.config)
	const messages = 20
	outage := func(title string, end func()) {
		t.Helper()
		o := stormy(relay, title, messages)
		o.await(t, o.start())
		waitFor(t, "the age of the oldest message", func() bool { return relay.metric(t, "graphrelay_queue_oldest_seconds") > 2 })
		if n := len(sim.ledger(t)); n > 0 {
			t.Errorf("%s: %d messages were sent", title, n)
		}
		end()
		relay.settled(t)
		o.check(t, sim)
		relay.checkTries(t, messages)
		sim.reset(t)
	}

	relay.start(t) // Graph's address refuses connections
	outage("refused", func() { serveThrough(t, sim, &through) })
	relay.stop(t)

	sim.fault(t, simulator.Fault{Operation: simulator.OpToken, Status: http.StatusInternalServerError})
	relay.start(t)
	outage("token", func() { sim.clearFaults(t) })
	relay.stop(t)

	relay.write(t, good, edit{"client_secret: simulated", "client_secret: revoked"})
	relay.start(t)
	outage("secret", func() {
		relay.write(t, good)
		relay.signal(syscall.SIGHUP)
	})
}

// serveThrough lets the simulator be reached by another address.
func serveThrough(t *testing.T, sim, through *simProcess) {
	t.Helper()
	l, err := net.Listen("tcp", strings.TrimPrefix(through.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxyTo(t, sim.url)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// checkTries wants every message sent at its first try that counted.
func (r *relayProcess) checkTries(t *testing.T, atLeast int) {
	t.Helper()
	got := r.queueCommand(t, "list", "--json", "--state", "sent")
	sent := 0
	for line := range strings.Lines(got.stdout) {
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
