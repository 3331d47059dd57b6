package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

func TestNodes(t *testing.T) {
	started := at.Add(-50 * 3600e9)
	var asked []string
	_, mux := testConsole(testRelay{asked: &asked, nodes: []operations.Node{
		{Name: "north", ID: "1", State: queue.Live, Version: "1.2", Started: &started, Seen: at, Lanes: 12, Delivering: 3, Differs: true},
		{Name: "south", ID: "2", State: queue.DrainingOut, Seen: at, Differs: true}, {Name: hostile, ID: "3", State: queue.Gone, Differs: true},
	}})
	body := as(mux, operators.Operator, http.MethodGet, "/console/nodes", nil).Body.String()
	for _, want := range []string{"configurations that differ", "2 d ago", "Drain north", "End the drain of south", "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if body := as(mux, operators.Viewer, http.MethodGet, "/console/nodes", nil).Body.String(); strings.Contains(body, "nodes/drain") || strings.Contains(body, "<script>alert") {
		t.Error("a viewer may drain, or a name is not inert")
	}
	as(mux, operators.Operator, http.MethodPost, "/console/nodes/drain", url.Values{"node": {"north"}})
	as(mux, operators.Operator, http.MethodPost, "/console/nodes/undrain", url.Values{"node": {"south"}})
	if w := as(mux, operators.Viewer, http.MethodPost, "/console/nodes/drain", url.Values{"node": {"north"}}); w.Code != http.StatusForbidden {
		t.Errorf("a viewer drains: %d", w.Code)
	}
	if !slices.Equal(asked, []string{"anna (console) drains north: true", "anna (console) drains south: false"}) {
		t.Errorf("asked %q", asked)
	}
	alone := []operations.Node{{Name: "north", ID: "1", State: queue.Live, Seen: at}, {Name: "south", ID: "2", State: queue.Gone}}
	for _, nodes := range [][]operations.Node{nil, alone} {
		_, mux = testConsole(testRelay{nodes: nodes})
		body := as(mux, operators.Operator, http.MethodGet, "/console/nodes", nil).Body.String()
		if !strings.Contains(body, "No other relay works on this queue") || strings.Contains(body, "nodes/drain") {
			t.Errorf("a relay alone may be drained, or is not said to be alone: %s", body)
		}
	}
}
