package console

import (
	"net/http"
	"strings"
	"testing"

	"graphrelay/relay/config"
	"graphrelay/relay/operators"
)

func TestConfiguration(t *testing.T) {
	_, mux := testConsole(testRelay{
		settings: []config.Setting{{Key: "hostname", Value: hostile}, {Key: "users[crm].password_hash", Value: "[redacted]"}, {Key: "limits.recipients", Value: "500", Default: true}},
		fault:    "relay.yaml:3: limits.x: is " + hostile + "\nrelay.yaml:4: is wrong too",
	})
	body := as(mux, operators.Viewer, http.MethodGet, "/console/configuration", nil).Body.String()
	for _, want := range []string{"users[crm].password_hash", "[redacted]", "The last reload failed", "<li>relay.yaml:4: is wrong too</li>", "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script>alert", "limits.recipients"} {
		if strings.Contains(body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if body := as(mux, operators.Viewer, http.MethodGet, "/console/configuration?show=all", nil).Body.String(); !strings.Contains(body, "limits.recipients") {
		t.Error("the defaults are not shown")
	}
	_, mux = testConsole(testRelay{})
	if body := as(mux, operators.Viewer, http.MethodGet, "/console/configuration", nil).Body.String(); strings.Contains(body, "reload failed") {
		t.Error("a reload is said to have failed")
	}
}
