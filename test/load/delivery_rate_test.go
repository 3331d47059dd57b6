package load

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// rateMessages is how many messages each measurement of TestDeliveryRate delivers at most.
const rateMessages = 6000

// TestDeliveryRate prints what part of Graph's limit the relay reaches as it is configured by
// default. The limit is 4 requests at a time to one mailbox, and a message takes two. The pace
// is that of the middle 80 % of the messages: at the beginning the relay does not know yet which
// mailboxes respond, and in the end some have nothing left. Where the mailboxes together allow
// more than the machine can do, its processors are busy, and how much processor time a message
// takes is what counts.
func TestDeliveryRate(t *testing.T) {
	needCompare(t)
	for _, mailboxes := range []int{1, 50, 200} {
		for _, latency := range []time.Duration{50 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond} {
			name := fmt.Sprintf("%d mailboxes, %s", mailboxes, latency)
			var shares, busy, relay, sim, peak []float64
			for range *rounds {
				t.Run(name, func(t *testing.T) {
					each := min(int(15*time.Second*2/latency), rateMessages/mailboxes)
					r := deliver(t, mailboxes, each, latency)
					shares = append(shares, r.pace/(2*float64(mailboxes)/latency.Seconds()))
					busy, relay, sim = append(busy, r.busy), append(relay, r.cost), append(sim, r.simCost)
					peak = append(peak, float64(harness.PeakMemory(t, r.relay.Process))/1024)
				})
			}
			if len(shares) > 0 { // -run may have left it out
				t.Logf("%s: %s of what Graph allows; processors busy %s; a message takes %.2f (%.2f to %.2f) ms of one, and %.2f of the simulator, so %d allow %.0f a second, %.0f%% of what Graph does; peak memory %.0f MiB",
					name, percents(shares), percents(busy), median(relay), slices.Min(relay), slices.Max(relay), median(sim), runtime.NumCPU(),
					1000*float64(runtime.NumCPU())/(median(relay)+median(sim)),
					100_000*float64(runtime.NumCPU())/(median(relay)+median(sim))/(2*float64(mailboxes)/latency.Seconds()), slices.Max(peak))
			}
		}
	}
}

// delivered is a measurement.
type delivered struct {
	relay *harness.Relay
	pace  float64 // messages a second
	busy  float64 // part of the time that the machine's processors were not idle
	// Processor time for a message in milliseconds, of the relay and of the simulator.
	cost, simCost float64
}

// deliver queues messages for each mailbox and measures their delivery.
func deliver(t *testing.T, mailboxes, each int, latency time.Duration) delivered {
	sim := harness.ReleasedSim(t, "--latency", latency.String())
	relay := harness.ReleasedRelay(t, sim)
	relay.Start(t)
	relay.PauseAll(t)
	o := &harness.Outbox{
		Dial: func() (*harness.Dialog, error) { return relay.Dial("devices") }, Connections: 16, Messages: mailboxes * each,
		Make: func(n int) harness.Sample {
			s := harness.TenKilobytes("rate")(n)
			s.From = fmt.Sprintf("rate-%d@contoso.test", n%mailboxes)
			return s
		},
	}
	o.Await(t, o.Start())
	idle, total := processors(t)
	used, usedBySim := cpuTime(t, relay.Process), cpuTime(t, sim.Process)
	relay.ResumeAll(t)
	time.Sleep(time.Duration(each) * latency / 2) // undisturbed by who asks how far it is
	harness.WaitFor(t, "all messages", func() bool { return sim.Sends(t) >= o.Messages })
	idleAfter, totalAfter := processors(t)
	used, usedBySim = cpuTime(t, relay.Process)-used, cpuTime(t, sim.Process)-usedBySim
	relay.Idle(t)
	o.Check(t, sim)
	var sent []time.Time
	for _, d := range sim.Ledger(t) {
		sent = append(sent, d.Time)
	}
	slices.SortFunc(sent, time.Time.Compare)
	from, to := len(sent)/10, len(sent)*9/10
	perMessage := 1000 / float64(len(sent))
	return delivered{relay, float64(to-from) / sent[to].Sub(sent[from]).Seconds(),
		1 - (idleAfter-idle)/(totalAfter-total), used.Seconds() * perMessage, usedBySim.Seconds() * perMessage}
}

// processors returns the idle time of all processors, and their time, in ticks (proc(5)).
func processors(t *testing.T) (idle, total float64) {
	t.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line)[1:9] { // guests count as users
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += n
		if i == 3 || i == 4 { // idle, or waiting for a disk
			idle += n
		}
	}
	return idle, total
}

// cpuTime returns the processor time that a process has taken (proc(5)).
func cpuTime(t *testing.T, p *harness.Process) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var ticks int
	for _, field := range strings.Fields(rest)[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
