package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/graph/simulator"
)

// TestStop ends a relay in the middle of deliveries: it exits with 0, and what was
// not sent is sent by the next one, once.
func TestStop(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	sim.fault(t, simulator.Fault{Operation: simulator.OpSend, Latency: time.Second})
	o := &outbox{
		dial:        func() (*dialog, error) { return relay.dial("devices") },
		connections: 4, messages: 80, make: tenKilobytes("stop"),
	}
	o.await(t, o.start())
	relay.stop(t)
	sim.clearFaults(t)
	relay.start(t)
	relay.settled(t)
	o.check(t, sim)
}

// TestStopWithClients ends a relay while one client is idle and another is in the
// middle of a message that it never finishes: neither keeps it from ending.
func TestStopWithClients(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	for _, start := range []string{"NOOP", "MAIL FROM:<crm@contoso.test>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\nSubject: never"} {
		d, err := relay.dial("devices")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.PrintfLine("%s", start); err != nil {
			t.Fatal(err)
		}
		d.next()
	}
	relay.stop(t)
	relay.checkEmpty(t)
}

// TestReload changes the configuration of a running relay: a new user can sign in;
// a broken file changes nothing and shows in the metrics.
func TestReload(t *testing.T) {
	t.Parallel()
	const series = "graphrelay_config_last_reload_successful"
	sim := startSim(t)
	relay := startRelay(t, sim)
	good := readFile(t, relay.config)
	if n := relay.metric(t, series); n != 1 {
		t.Errorf("after the start, %s is %v", series, n)
	}
	hash := strings.TrimSpace(command(t, "second-secret\n", "hash-password").stdout)
	relay.write(t, good, addUser("second", hash))
	relay.signal(syscall.SIGHUP)
	waitFor(t, "the new user", func() bool { return strings.HasPrefix(relay.signIn("second", "second-secret"), "235 ") })

	relay.write(t, good, edit{"hostname:", "hostnam:"})
	relay.signal(syscall.SIGHUP)
	waitFor(t, "the failed reload", func() bool { return relay.metric(t, series) == 0 })
	if answer := relay.signIn("second", "second-secret"); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("after a broken file: %s", answer)
	}

	relay.write(t, good)
	relay.signal(syscall.SIGHUP)
	waitFor(t, "the good reload", func() bool { return relay.metric(t, series) == 1 })
	waitFor(t, "the end of the removed user", func() bool {
		return strings.HasPrefix(relay.signIn("second", "second-secret"), "535 5.7.8 ")
	})
	if answer := relay.signIn(crmUser, crmPassword); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("a user that stayed: %s", answer)
	}
}
