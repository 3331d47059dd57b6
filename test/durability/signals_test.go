package durability

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestStop ends a relay in the middle of deliveries: it exits with 0, and what was
// not sent is sent by the next one, once.
func TestStop(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpSend, Latency: time.Second})
	o := &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return relay.Dial("devices") },
		Connections: 4, Messages: 80, Make: harness.TenKilobytes("stop"),
	}
	o.Await(t, o.Start())
	relay.Stop(t)
	sim.ClearFaults(t)
	relay.Start(t)
	relay.Settled(t)
	o.Check(t, sim)
}

// TestStopWithClients ends a relay while one client is idle and another is in the
// middle of a message that it never finishes: neither keeps it from ending.
func TestStopWithClients(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	for _, start := range []string{"NOOP", "MAIL FROM:<crm@contoso.test>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\nSubject: never"} {
		d, err := relay.Dial("devices")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.PrintfLine("%s", start); err != nil {
			t.Fatal(err)
		}
		d.Next()
	}
	relay.Stop(t)
	relay.CheckEmpty(t)
}

// TestStopDuringUpload ends a relay while a client is in the middle of a message and an
// upload under way takes longer than a stop waits. The client finishes, and the next
// relay goes on with the upload where it was.
func TestStopDuringUpload(t *testing.T) {
	t.Parallel()
	const size = 18_000_000 // five ranges
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpUpload, Latency: 7 * time.Second})
	large := harness.TenKilobytes("upload")(1)
	large.Files = []harness.File{harness.NewFile(t, "large.bin", "application/octet-stream", harness.Noise("large", size))}
	if answer := relay.SendOne(t, large); !strings.HasPrefix(answer, "250 ") {
		t.Fatal(answer)
	}
	uploads := func() (ranges, sessions, bytes int) {
		for _, c := range harness.View[[]simulator.Call](t, sim, "journal") {
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
	harness.WaitFor(t, "the first range", func() bool { n, _, _ := uploads(); return n > 0 })
	d, err := relay.Dial("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, command := range []string{"MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>", "DATA"} {
		d.Answer("%s", command)
	}
	relay.Signal(syscall.SIGTERM)
	if answer := d.Answer("From: <crm@contoso.test>\r\nSubject: during the stop\r\n\r\ntext\r\n."); !strings.HasPrefix(answer, "250 2.0.0 queued as ") {
		t.Errorf("the message that the stop met: %s", answer)
	}
	if !relay.Ends() || relay.Status() != 0 {
		t.Fatalf("serve ended with status %d after SIGTERM", relay.Status())
	}
	if n, _, _ := uploads(); n >= 5 {
		t.Fatalf("%d ranges were uploaded before the stop: it met no upload", n)
	}
	sim.ClearFaults(t)
	relay.Start(t)
	sim.Sent(t, "crm@contoso.test", "during the stop")
	got := sim.Sent(t, large.From, large.Subject)
	relay.Settled(t)
	if len(got.Attachments) != 1 || got.Attachments[0].SHA256 != harness.SHA256Hex(large.Files[0].Content) {
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
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	good := harness.ReadFile(t, relay.Config)
	if n := relay.Metric(t, series); n != 1 {
		t.Errorf("after the start, %s is %v", series, n)
	}
	hash := strings.TrimSpace(harness.Command(t, "second-secret\n", "hash-password").Stdout)
	relay.Write(t, good, harness.AddUser("second", hash))
	relay.Signal(syscall.SIGHUP)
	harness.WaitFor(t, "the new user", func() bool { return strings.HasPrefix(relay.SignIn("second", "second-secret"), "235 ") })

	relay.Write(t, good, harness.Replace("hostname:", "hostnam:"))
	relay.Signal(syscall.SIGHUP)
	harness.WaitFor(t, "the failed reload", func() bool { return relay.Metric(t, series) == 0 })
	if answer := relay.SignIn("second", "second-secret"); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("after a broken file: %s", answer)
	}

	relay.Write(t, good)
	relay.Signal(syscall.SIGHUP)
	harness.WaitFor(t, "the good reload", func() bool { return relay.Metric(t, series) == 1 })
	harness.WaitFor(t, "the end of the removed user", func() bool {
		return strings.HasPrefix(relay.SignIn("second", "second-secret"), "535 5.7.8 ")
	})
	if answer := relay.SignIn(harness.CRMUser, harness.CRMPassword); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("a user that stayed: %s", answer)
	}
}
