package load

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// The tests that measure run only with -compare. Their results depend on the machine, so
// they assert nothing about time.
var (
	compare = flag.Bool("compare", false, "run the tests that measure; make bench lists them")
	rounds  = flag.Int("rounds", 3, "how often each is measured")
)

func needCompare(t *testing.T) {
	t.Helper()
	if !*compare {
		t.Skip("measures; asked for with -compare (make bench)")
	}
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
}

// contestant is a server whose accepts are measured.
type contestant struct {
	name, address string
	rest          func(t *testing.T) // returns when it has nothing more to do
	rates         []float64
}

// load is one measurement: messages over so many connections. A single one takes
// longer for each.
type load struct{ connections, messages int }

// TestCompareAccepts prints how many messages of 10 KB a second the relay and Postfix
// accept durably from Postfix's own generator. Three servers take turns, so that a noisy
// machine affects all of them alike: the relay with its lanes paused, Postfix with its
// transport deferred, so that either only accepts, and Postfix as it relays to a sink.
func TestCompareAccepts(t *testing.T) {
	needCompare(t)
	source := harness.NeedTool(t, "smtp-source")
	relay := harness.ReleasedRelay(t, harness.ReleasedSim(t), harness.LimitsKey("connections_per_address: 1000"))
	relay.Start(t)
	relay.PauseAll(t)
	// Neither its limit of processes nor its brake for fast clients is what is compared.
	settings := []string{"default_process_limit = 300", "in_flow_delay = 0"}
	sink := startSink(t)
	holding := harness.StartPostfix(t, sink, append(settings, "defer_transports = smtp")...)
	relaying := harness.StartPostfix(t, sink, settings...)
	all := []*contestant{
		{name: "graphrelay", address: relay.Address["devices"], rest: func(*testing.T) {}},
		{name: "Postfix that only accepts", address: holding.Address, rest: func(t *testing.T) { waitEmpty(t, holding, "incoming", "active") }},
		{name: "Postfix that relays", address: relaying.Address, rest: func(t *testing.T) { waitEmpty(t, relaying, "incoming", "active") }},
	}
	for _, l := range []load{{1, 300}, {8, 1000}, {64, 2000}, {256, 2000}} {
		for round := range *rounds + 1 {
			for _, c := range all {
				rate := c.measure(t, source, l)
				if round > 0 { // the first one fills caches and starts Postfix's processes
					c.rates = append(c.rates, rate)
				}
			}
		}
		t.Logf("%d connections: graphrelay %.0f a second", l.connections, median(all[0].rates))
		for _, c := range all[1:] {
			t.Logf("    %s %.0f; graphrelay to it %s", c.name, median(c.rates), ratios(all[0].rates, c.rates))
		}
		for _, c := range all {
			c.rates = nil
		}
	}
	t.Logf("peak memory of serve: %d KiB", harness.PeakMemory(t, relay.Process))
}

// measure returns accepts a second.
func (c *contestant) measure(t *testing.T, source string, l load) float64 {
	t.Helper()
	start := time.Now()
	harness.Tool(t, "", source, "-d", "-s", strconv.Itoa(l.connections), "-m", strconv.Itoa(l.messages), "-l", "10240",
		"-f", "crm@contoso.test", "-t", "anna@example.com", "-M", "client.test", c.address)
	took := time.Since(start)
	c.rest(t)
	return float64(l.messages) / took.Seconds()
}

// startSink starts Postfix's own server that throws all mail away.
func startSink(t *testing.T) (address string) {
	t.Helper()
	address = fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	cmd := exec.Command(harness.NeedTool(t, "smtp-sink"), address, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return address
}

// waitEmpty waits until these directories of Postfix's queue are empty.
func waitEmpty(t *testing.T, p *harness.Postfix, names ...string) {
	t.Helper()
	harness.WaitFor(t, "an empty queue of Postfix", func() bool {
		for _, name := range names {
			files, err := filepath.Glob(filepath.Join(p.Dir, "queue", name, "*"))
			if err != nil || len(files) > 0 {
				return false
			}
		}
		return true
	})
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios compares what was measured in the same round.
func ratios(a, b []float64) string {
	var list []float64
	for i := range a {
		list = append(list, a[i]/b[i])
	}
	return fmt.Sprintf("%.1f (%.1f to %.1f)", median(list), slices.Min(list), slices.Max(list))
}

// percents lists shares for people.
func percents(list []float64) string {
	var words []string
	for _, v := range list {
		words = append(words, fmt.Sprintf("%.0f %%", 100*v))
	}
	return strings.Join(words, ", ")
}
