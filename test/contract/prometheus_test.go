package contract

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// empty are the panels of the dashboard without data in a test in which nothing expires.
var empty = []string{"Credentials"}

// sampleValue finds the values in the answer to a query.
var sampleValue = regexp.MustCompile(`"value":\[[^,]+,"([^"]*)"\]`)

// TestDashboard has a Prometheus scrape a relay and answer each query of the dashboard. Another
// one asks for native histograms.
func TestDashboard(t *testing.T) {
	t.Parallel()
	prometheus := harness.NeedTool(t, "prometheus")
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	p := startPrometheus(t, prometheus, relay.Address["admin"])
	native := startPrometheus(t, prometheus, relay.Address["admin"], "--enable-feature=native-histograms")
	p.wait(t, "graphrelay_ready == 1")
	traffic(t, sim, relay)
	p.wait(t, "increase(graphrelay_messages_failed_total[1m]) > 0 and on () increase(graphrelay_messages_delivered_total[1m]) > 0")

	variables := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	queries := 0
	for _, panel := range dashboard(t).Panels {
		for _, target := range panel.Targets {
			queries++
			found := p.query(t, variables.Replace(target.Expr))
			if slices.Contains(empty, panel.Title) == (len(found) > 0) {
				t.Errorf("%s: %s\nis answered by %s", panel.Title, target.Expr, found)
			}
			// Of several series, those are no number in which nothing has happened within the time.
			if values := sampleValue.FindAllStringSubmatch(string(found), -1); len(values) > 0 && !slices.ContainsFunc(values, func(v []string) bool { return v[1] != "NaN" }) {
				t.Errorf("%s: %s\nis no number: %s", panel.Title, target.Expr, found)
			}
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries were found", queries)
	}
	native.wait(t, "histogram_quantile(0.5, graphrelay_delivery_seconds) > 0") // without le: not the classic one
}

// traffic makes mail of which one message is sent, one refused and one fails, and a sign-in.
func traffic(t *testing.T, sim *harness.Sim, relay *harness.Relay) {
	t.Helper()
	one := harness.TenKilobytes("dashboard")(1)
	relay.SendOne(t, one)
	sim.Sent(t, one.From, one.Subject)
	relay.SendOne(t, harness.Sample{From: "someone@elsewhere.test", To: []string{"anna@example.com"}})
	relay.SignIn(harness.CRMUser, harness.CRMPassword)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"})
	relay.SendOne(t, harness.TenKilobytes("dashboard")(2))
}

// board is what the test reads of a dashboard of Grafana.
type board struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

func dashboard(t *testing.T) (b board) {
	t.Helper()
	if err := json.Unmarshal([]byte(harness.ReadFile(t, "../../deploy/grafana/graphrelay.json")), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// prom is a Prometheus at an address.
type prom string

func startPrometheus(t *testing.T, program, target string, flags ...string) prom {
	t.Helper()
	dir := t.TempDir()
	address := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n  - {job_name: graphrelay, static_configs: [{targets: [%q]}]}\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.StartCommand(t, "prometheus", exec.Command(program, append(flags, "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")...))
	return prom(address)
}

// query returns the result of an expression, nil if it has no series.
func (p prom) query(t *testing.T, expr string) json.RawMessage {
	t.Helper()
	resp, err := http.Get("http://" + string(p) + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil // not started yet
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	var answer struct {
		Status string
		Error  string
		Data   struct{ Result []json.RawMessage }
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s", expr, err, body)
	}
	if len(answer.Data.Result) == 0 {
		return nil
	}
	return body
}

func (p prom) wait(t *testing.T, expr string) {
	t.Helper()
	harness.WaitFor(t, expr, func() bool { return len(p.query(t, expr)) > 0 })
}
