package contract

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"graphrelay/graph/simulator"
	"graphrelay/relay/tracing"
	"graphrelay/test/harness"
)

// receiver is a collector of traces by OTLP over HTTP.
type receiver struct {
	mu      sync.Mutex
	spans   []*otlp.Span
	raw     bytes.Buffer
	strange []string // requests that are not as they should be
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil || req.URL.Path != "/v1/traces" || req.Header.Get("Authorization") != "Bearer collector-secret" {
		r.strange = append(r.strange, fmt.Sprint(req.URL.Path, req.Header, err))
	}
	r.raw.Write(body)
	for _, resource := range export.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			r.spans = append(r.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// of returns the spans of a trace.
func (r *receiver) of(id [16]byte) (list []*otlp.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if bytes.Equal(s.TraceId, id[:]) {
			list = append(list, s)
		}
	}
	return list
}

// attribute returns the value of a span's attribute as text.
func attribute(s *otlp.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return strings.Trim(a.Value.String()[strings.Index(a.Value.String(), ":")+1:], `"`)
		}
	}
	return ""
}

// withTraces has a relay export traces to an address.
func withTraces(relay *harness.Relay, url string, env ...string) {
	relay.Launch = func(c *exec.Cmd) error {
		c.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+url, "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20collector-secret", "OTEL_BSP_SCHEDULE_DELAY=50")
		c.Env = append(c.Env, env...)
		return c.Start()
	}
}

func traces(recipients bool) harness.Edit {
	return harness.Replace("\ndelivery:\n", fmt.Sprintf("\nlog: {traces: true, recipients: %t}\n\ndelivery:\n  retry_delays: [1s]\n", recipients))
}

// TestTraces follows a message through a restart and a refusal to its end, in the spans that a
// collector gets.
func TestTraces(t *testing.T) {
	t.Parallel()
	for _, recipients := range []bool{true, false} {
		t.Run(fmt.Sprintf("recipients %t", recipients), func(t *testing.T) {
			t.Parallel()
			r := &receiver{}
			server := httptest.NewServer(r)
			t.Cleanup(server.Close)
			sim := harness.StartSim(t)
			relay := harness.NewRelay(t, sim, traces(recipients))
			withTraces(relay, server.URL)
			relay.Start(t)
			relay.PauseAll(t)
			m := harness.TenKilobytes("traces")(1)
			answer := strings.Fields(relay.SendOne(t, m))
			id := answer[len(answer)-1]
			relay.Stop(t)
			sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Count: 1, Status: http.StatusBadGateway})
			relay.Start(t)
			relay.ResumeAll(t)
			sim.Sent(t, m.From, m.Subject)
			trace, root := tracing.IDs(id)
			var spans []*otlp.Span
			harness.WaitFor(t, "the last span", func() bool {
				spans = r.of(trace)
				for _, s := range spans {
					if attribute(s, "graphrelay.state") == "sent" {
						return true
					}
				}
				return false
			})
			relay.Stop(t)
			checkTrace(t, r.of(trace), hex.EncodeToString(root[:]))
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.strange) > 0 {
				t.Errorf("odd requests: %q", r.strange)
			}
			for _, never := range []string{m.Subject, "simulated", "collector-secret", "Bearer"} {
				if bytes.Contains(r.raw.Bytes(), []byte(never)) {
					t.Errorf("the spans contain %q", never)
				}
			}
			for _, address := range []string{m.From, m.To[0], "127.0.0.1:"} {
				if bytes.Contains(r.raw.Bytes(), []byte(address)) != (recipients && address != "127.0.0.1:") {
					t.Errorf("recipients %t: %q", recipients, address)
				}
			}
		})
	}
}

// checkTrace compares a trace with what became of the message of TestTraces.
func checkTrace(t *testing.T, spans []*otlp.Span, root string) {
	t.Helper()
	names := map[string]string{}
	for _, s := range spans {
		names[hex.EncodeToString(s.SpanId)] = s.Name
	}
	if names[root] != "accept" {
		t.Errorf("the root is %q", names[root])
	}
	found := map[string]int{}
	for _, s := range spans {
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%s ends before it starts", s.Name)
		}
		found[fmt.Sprintf("%s below %s, %s%s", s.Name, names[hex.EncodeToString(s.ParentSpanId)], attribute(s, "http.response.status_code"), attribute(s, "graphrelay.state"))]++
		if strings.HasPrefix(s.Name, "graph ") && s.Name != "graph token" && attribute(s, "http.response.status_code") < "400" && attribute(s, "graphrelay.request_id") == "" {
			t.Errorf("%s has no request id: %v", s.Name, s)
		}
	}
	for _, want := range []string{"accept below , ", "wait below accept, ", "attempt below accept, deferred", "attempt below accept, sent",
		"graph create below attempt, 502", "graph create below attempt, 201", "graph send below attempt, 202", "graph token below attempt, "} {
		if found[want] != 1 {
			t.Errorf("%q is there %d times in %v", want, found[want], found)
		}
	}
}

// TestTracesCollectorDown exports to an address where nobody listens, and to one that never
// answers. Mail does not wait for it; what is lost is counted, and said once.
func TestTracesCollectorDown(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(release) })
	for name, url := range map[string]string{"nobody": fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t)), "silent": silent.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := harness.StartSim(t)
			relay := harness.NewRelay(t, sim, traces(true))
			withTraces(relay, url, "OTEL_BSP_EXPORT_TIMEOUT=300")
			relay.Start(t)
			for n := range 3 {
				m := harness.TenKilobytes("down")(n)
				dropped := relay.Metric(t, "graphrelay_trace_spans_dropped_total")
				relay.SendOne(t, m)
				sim.Sent(t, m.From, m.Subject)
				harness.WaitFor(t, "spans to be dropped", func() bool { return relay.Metric(t, "graphrelay_trace_spans_dropped_total") > dropped })
			}
			begun := time.Now()
			relay.Stop(t)
			t.Logf("stopped after %s", time.Since(begun))
			if found := logEntries(t, relay.Log.String(), "traces cannot be exported and are dropped; mail is not affected"); len(found) != 1 {
				t.Errorf("the log says it %d times", len(found))
			}
			if strings.Contains(relay.Log.String(), "collector-secret") {
				t.Error("the log has the secret")
			}
		})
	}
}
