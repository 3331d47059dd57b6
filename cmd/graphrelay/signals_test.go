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

// TestStopDuringUpload ends a relay while a client is in the middle of a message and an
// upload under way takes longer than a stop waits. The client finishes, and the next
// relay goes on with the upload where it was.
func TestStopDuringUpload(t *testing.T) {
	t.Parallel()
	const size = 18_000_000 // five ranges
	sim := startSim(t)
	relay := startRelay(t, sim)
	sim.fault(t, simulator.Fault{Operation: simulator.OpUpload, Latency: 7 * time.Second})
	large := tenKilobytes("upload")(1)
	large.Files = []sampleFile{newFile(t, "large.bin", "application/octet-stream", noise("large", size))}
	if answer := relay.sendOne(t, large); !strings.HasPrefix(answer, "250 ") {
		t.Fatal(answer)
	}
	uploads := func() (ranges, sessions, bytes int) {
		for _, c := range read[[]simulator.Call](t, sim, "journal") {
			switch {
			case c.Operation == simulator.OpUpload && c.Status < 300:
				ranges++
				bytes += int(c.Bytes)
			case c.Operation == simulator.OpCreateSession:
				sessions++
			}
		}
		return ranges, sessions, bytes
	}
	waitFor(t, "the first range", func() bool { n, _, _ := uploads(); return n > 0 })
	d, err := relay.dial("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, command := range []string{"MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>", "DATA"} {
		d.answer("%s", command)
	}
	relay.signal(syscall.SIGTERM)
	if answer := d.answer("From: <crm@contoso.test>\r\nSubject: during the stop\r\n\r\ntext\r\n."); !strings.HasPrefix(answer, "250 2.0.0 queued as ") {
		t.Errorf("the message that the stop met: %s", answer)
	}
	if !relay.ends() || relay.status() != 0 {
		t.Fatalf("serve ended with status %d after SIGTERM", relay.status())
	}
	if n, _, _ := uploads(); n >= 5 {
		t.Fatalf("%d ranges were uploaded before the stop: it met no upload", n)
	}
	sim.clearFaults(t)
	relay.start(t)
	sim.sent(t, "crm@contoso.test", "during the stop")
	got := sim.sent(t, large.From, large.Subject)
	relay.settled(t)
	if len(got.Attachments) != 1 || got.Attachments[0].SHA256 != sha256Hex(large.Files[0].content) {
		t.Errorf("the attachments are %+v", got.Attachments)
	}
	if _, sessions, bytes := uploads(); sessions != 1 || bytes != size {
		t.Errorf("%d bytes in %d sessions, want %d in one", bytes, sessions, size)
	}
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
