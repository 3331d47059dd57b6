//go:build unix

package durability

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// TestReloadUnderLoad reloads again and again, by the command and by SIGHUP, with the same file, a
// changed one and a broken one, while clients send. Each message that was accepted is delivered
// once, and no client loses its connection within a message.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t, "--latency", "5ms")
	relay := harness.StartRelay(t, sim)
	outbox := &harness.Outbox{Connections: 3, Messages: 1_000_000, Make: harness.TenKilobytes("reloads"), Title: "reloads", Fresh: true, Patient: true,
		Dial: func() (*harness.Dialog, error) { return relay.Dial("devices") }}
	sent := outbox.Start()
	done := make(chan struct{})
	accepted := make([]int, 3)
	var wg sync.WaitGroup
	for n := range accepted {
		wg.Go(func() { accepted[n] = sendSlowly(t, relay, fmt.Sprintf("slow %d", n), done) })
	}
	const reloads = 12
	reload(t, relay, reloads)
	close(done)
	outbox.Stop.Store(true)
	<-sent
	wg.Wait()
	t.Logf("%d messages and %v of slow clients were accepted", outbox.AcceptedCount(), accepted)
	if refused := outbox.Refused(); len(refused) > 0 || outbox.AcceptedCount() < reloads {
		t.Errorf("%d messages were accepted; refused: %v", outbox.AcceptedCount(), refused)
	}
	outbox.Check(t, sim)
	times := map[string]int{}
	for _, d := range sim.Ledger(t) {
		times[d.Subject]++
	}
	for n, count := range accepted {
		for i := range count {
			if subject := fmt.Sprintf("slow %d %d", n, i); times[subject] != 1 {
				t.Errorf("%q was sent %d times", subject, times[subject])
			}
		}
		if count == 0 {
			t.Errorf("slow client %d sent nothing", n)
		}
	}
	relay.CheckEmpty(t)
}

// reload reloads a number of times.
func reload(t *testing.T, relay *harness.Relay, times int) {
	t.Helper()
	good := harness.ReadFile(t, relay.Config)
	for n := range times {
		want := 0
		switch n % 4 {
		case 0:
			relay.Write(t, good)
		case 1:
			relay.Write(t, good, harness.LimitsKey(fmt.Sprintf("connections: %d", 1000+n)))
		case 2:
			relay.Write(t, good, harness.Replace("hostname:", "hostnam:"))
			want = 2
		case 3:
			relay.Write(t, good)
			relay.Signal(syscall.SIGHUP)
		}
		if r := harness.Command(t, "", "reload", "--config", relay.Config); r.Status != want {
			t.Errorf("reload ended with %d, not %d: %s%s", r.Status, want, r.Stdout, r.Stderr)
		}
	}
}

// sendSlowly sends messages whose data takes a while, so that reloads fall into them, until done is
// closed. It returns how many were accepted. Between two messages, the relay may close the
// connection, but not once it has asked for the data.
func sendSlowly(t *testing.T, relay *harness.Relay, title string, done <-chan struct{}) (accepted int) {
	for {
		select {
		case <-done:
			return accepted
		default:
		}
		d, err := relay.Dial("devices")
		if err != nil {
			continue
		}
		if !strings.HasPrefix(d.Answer("MAIL FROM:<slow@contoso.test>"), "250") || !strings.HasPrefix(d.Answer("RCPT TO:<to@example.com>"), "250") ||
			!strings.HasPrefix(d.Answer("DATA"), "354") {
			_ = d.Close()
			continue
		}
		text := fmt.Sprintf("From: slow@contoso.test\r\nSubject: %s %d\r\n\r\n", title, accepted)
		for line := range 10 {
			text += fmt.Sprintf("line %d", line)
			if err := d.PrintfLine("%s", text); err != nil {
				t.Errorf("%s %d: %v within the data", title, accepted, err)
				return accepted
			}
			text = ""
			time.Sleep(20 * time.Millisecond)
		}
		if answer := d.Answer("."); !strings.HasPrefix(answer, "250") {
			t.Errorf("%s %d: %s", title, accepted, answer)
			return accepted
		}
		accepted++
		_ = d.Close()
	}
}
