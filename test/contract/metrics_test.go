package contract

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestMetrics causes every event that is counted. Every metric of the contract must be
// there, and promtool must accept the result.
func TestMetrics(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	one := harness.TenKilobytes("metrics")(1)
	relay.SendOne(t, one)
	sim.Sent(t, one.From, one.Subject)
	relay.SendOne(t, harness.Sample{From: "someone@elsewhere.test", To: []string{"anna@example.com"}})
	relay.SignIn(harness.CRMUser, "wrong")
	relay.SignIn(harness.CRMUser, harness.CRMPassword)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Count: 1, Status: http.StatusTooManyRequests, RetryAfter: "1"})
	throttled := harness.TenKilobytes("metrics")(2)
	relay.SendOne(t, throttled)
	sim.Sent(t, throttled.From, throttled.Subject)
	missing := harness.TenKilobytes("metrics")(3)
	missing.From = "missing-metrics@contoso.test" // no such mailbox
	relay.SendOne(t, missing)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"})
	failing := harness.TenKilobytes("metrics")(4)
	relay.SendOne(t, failing)
	harness.WaitFor(t, "a failure", func() bool { return relay.Metric(t, "graphrelay_messages_failed_total") > 0 })

	status, text := relay.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d", status)
	}
	checkContractMetrics(t, text)
	t.Run("promtool", func(t *testing.T) { harness.Tool(t, text, harness.NeedTool(t, "promtool"), "check", "metrics") })
}

// Every metric is there from the start, before anything was counted.
func TestMetricsOfAFreshStart(t *testing.T) {
	t.Parallel()
	relay := harness.StartRelay(t, harness.StartSim(t))
	var text string
	harness.WaitFor(t, "the relay in the list of nodes", func() bool { // it registers once it delivers
		_, text = relay.Get("/metrics")
		return strings.Contains(text, "graphrelay_node_lanes{")
	})
	checkContractMetrics(t, text)
}

// checkContractMetrics compares names, types and labels with the contract's list, and with
// that of the metrics which came later.
func checkContractMetrics(t *testing.T, text string) {
	t.Helper()
	types, labels := readMetrics(text)
	for line := range strings.Lines(harness.ReadFile(t, "testdata/metrics.txt") + harness.ReadFile(t, "testdata/metrics-more.txt")) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(fields) < 2 {
			continue
		}
		name, kind := fields[0], fields[1]
		if types[name] != kind {
			t.Errorf("%s is of type %q, want %s", name, types[name], kind)
			continue
		}
		var want []string
		if len(fields) > 2 {
			want = strings.Split(fields[2], ",")
		}
		slices.Sort(want)
		if !slices.Equal(labels[name], want) {
			t.Errorf("%s has the labels %q, want %q", name, labels[name], want)
		}
	}
}

// readMetrics returns the types, and the labels in their order, of what is
// exposed. "le" belongs to the histograms.
func readMetrics(text string) (types map[string]string, labels map[string][]string) {
	types, labels = map[string]string{}, map[string][]string{}
	current := ""
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); strings.HasPrefix(line, "# TYPE ") {
			current = f[2]
			types[current] = f[3]
			continue
		}
		if _, inside, ok := strings.Cut(line, "{"); ok && !strings.HasPrefix(line, "#") {
			labels[current] = labelNames(inside[:strings.LastIndexByte(inside, '}')])
		}
	}
	return types, labels
}

// labelNames reads a="x",b="y".
func labelNames(s string) (names []string) {
	for s != "" {
		name, rest, _ := strings.Cut(s, `="`)
		if name != "le" {
			names = append(names, name)
		}
		end := strings.Index(rest, `"`)
		for end > 0 && rest[end-1] == '\\' {
			end += 1 + strings.Index(rest[end+1:], `"`)
		}
		s = strings.TrimPrefix(rest[end+1:], ",")
	}
	slices.Sort(names)
	return names
}
