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
	used          func(t *testing.T) time.Duration
	rates, costs  []float64 // messages a second, and microseconds of processor time for each
}

// load is one measurement: messages over so many connections at a time, or each over one of
// its own. A single one takes longer for each.
type load struct {
	connections, messages int
	fresh                 bool
}

func (l load) String() string {
	if l.fresh {
		return fmt.Sprintf("%d connections at a time, one for each message", l.connections)
	}
	return fmt.Sprintf("%d connections", l.connections)
}

// TestCompareAccepts prints how many messages of 10 KB a second the relay and Postfix
// accept durably from Postfix's own generator, and how long another client waits for the
// answer to one. Three servers take turns, so that a noisy
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
		{name: "graphrelay", address: relay.Address["devices"], rest: func(*testing.T) {}, used: relay.ProcessorTime},
		{name: "Postfix that only accepts", address: holding.Address, rest: func(t *testing.T) { waitEmpty(t, holding, "incoming", "active") }, used: holding.ProcessorTime},
		{name: "Postfix that relays", address: relaying.Address, rest: func(t *testing.T) { waitEmpty(t, relaying, "incoming", "active") }, used: relaying.ProcessorTime},
	}
	for _, l := range []load{{1, 300, false}, {8, 1000, false}, {64, 2000, false}, {256, 2000, false}, {64, 1000, true}} {
		for round := range *rounds + 1 {
			for _, c := range all {
				before := c.used(t)
				rate := c.measure(t, source, l)
				if round > 0 { // the first one fills caches and starts Postfix's processes
					c.rates = append(c.rates, rate)
					c.costs = append(c.costs, float64((c.used(t)-before).Microseconds())/float64(l.messages))
				}
			}
		}
		t.Logf("%v: graphrelay %.0f a second, %.0f us of the processors for each", l, median(all[0].rates), median(all[0].costs))
		for _, c := range all[1:] {
			t.Logf("    %s %.0f, %.0f us; graphrelay takes %s times as many, and a message costs Postfix %s times as much", c.name,
				median(c.rates), median(c.costs), ratios(all[0].rates, c.rates), ratios(c.costs, all[0].costs))
		}
		for _, c := range all {
			c.rates, c.costs = nil, nil
		}
	}
	compareWaits(t, all, load{64, 2000, false})
	t.Logf("peak memory of serve: %d KiB", harness.PeakMemory(t, relay.Process))
}

// compareWaits prints how long a client waits between the dot and the answer.
func compareWaits(t *testing.T, all []*contestant, l load) {
	t.Helper()
	half, most := map[string][]float64{}, map[string][]float64{}
	for range *rounds {
		for _, c := range all {
			s := (&client{address: c.address}).send(t, l)
			half[c.name] = append(half[c.name], float64(s.wait(50).Microseconds())/1000)
			most[c.name] = append(most[c.name], float64(s.wait(99).Microseconds())/1000)
			c.rest(t)
		}
	}
	for _, c := range all {
		t.Logf("%v: after the dot, half of the answers of %s come within %.1f ms, 99 %% within %s ms", l, c.name, median(half[c.name]), spread(most[c.name]))
	}
}

// TestCompareSecureAccepts prints what a password and TLS add to an accept: over connections that
// are used again, and where each message has one. A client then goes on with its TLS session.
func TestCompareSecureAccepts(t *testing.T) {
	needCompare(t)
	relay := harness.ReleasedRelay(t, harness.ReleasedSim(t), harness.LimitsKey("connections_per_address: 1000"), harness.WithPasswords)
	relay.Start(t)
	relay.PauseAll(t)
	devices, submissions := relay.Address["devices"], relay.Address["submissions"]
	for _, l := range []load{{64, 2000, false}, {16, 500, true}} {
		clients := []*client{
			{address: devices, fresh: l.fresh},
			{address: devices, auth: true, fresh: l.fresh},
			{address: submissions, auth: true, fresh: l.fresh, tls: harness.ClientTLS()},
		}
		times, rates := make([][]float64, len(clients)), make([][]float64, len(clients))
		for round := range *rounds + 1 {
			for i, c := range clients {
				before := relay.ProcessorTime(t)
				s := c.send(t, l)
				used := relay.ProcessorTime(t) - before
				if round == 0 { // it fills caches, and begins the TLS sessions
					continue
				}
				if c.tls != nil && l.fresh && s.resumed < 1 {
					t.Errorf("only %.0f %% of the TLS sessions were resumed", 100*s.resumed)
				}
				times[i], rates[i] = append(times[i], float64(used)), append(rates[i], s.rate)
			}
		}
		t.Logf("%v: %.0f us of serve a message", l, median(times[0])/1000/float64(l.messages))
		for i, name := range []string{"with a password", "with a password and TLS"} {
			t.Logf("    %s: processor time of serve %s, messages a second %s", name, ratios(times[i+1], times[0]), ratios(rates[i+1], rates[0]))
		}
	}
}

// measure returns accepts a second.
func (c *contestant) measure(t *testing.T, source string, l load) float64 {
	t.Helper()
	args := []string{"-s", strconv.Itoa(l.connections), "-m", strconv.Itoa(l.messages), "-l", "10240",
		"-f", "crm@contoso.test", "-t", "anna@example.com", "-M", "client.test", c.address}
	if !l.fresh {
		args = append([]string{"-d"}, args...)
	}
	start := time.Now()
	harness.Tool(t, "", source, args...)
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
	return spread(list)
}

// spread returns the median of a list, with the least and the most.
func spread(list []float64) string {
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
