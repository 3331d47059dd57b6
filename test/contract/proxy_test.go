package contract

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// If a proxy does not accept the password, check prints one line. It says what to do and
// shows no password, even if the proxy repeats it. This machine is reached without the
// proxy of the environment.
func TestCheckThroughProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := parseProxyAuth(r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusProxyAuthRequired)
		fmt.Fprintf(w, `{"error": %q, "error_description": "not with %s"}`, password, password)
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	sim := harness.StartSim(t)
	relay := harness.NewRelay(t, sim)
	if got := harness.Command(t, "", "check", "--online", "--config", relay.Config); got.Status != 0 {
		t.Errorf("with the proxy of the environment: status %d: %s", got.Status, got.Stderr)
	}
	text, err := os.ReadFile(relay.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{sim.URL, strings.Replace(sim.URL, "http://", "https://", 1)} {
		relay.Write(t, string(text), harness.Replace("login: "+sim.URL, "login: "+endpoint),
			harness.Replace("    endpoints:\n", fmt.Sprintf("    proxy: %s\n    proxy_user: relay\n    proxy_password: hidden-value\n    endpoints:\n", proxy.URL)))
		got := harness.Command(t, "", "check", "--online", "--config", relay.Config)
		want := "graphrelay: connection contoso: graph token: the proxy does not let the relay in (407); set proxy_user and proxy_password of the connection, or correct them\n"
		if got.Status == 0 || !strings.HasSuffix(got.Stderr, want) || strings.Contains(got.Stdout+got.Stderr, "hidden-value") {
			t.Errorf("%s: status %d: %s%s", endpoint, got.Status, got.Stdout, got.Stderr)
		}
	}
}

// parseProxyAuth returns the user and password that a client sent to a proxy.
func parseProxyAuth(r *http.Request) (user, password string, ok bool) {
	asked := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	return asked.BasicAuth()
}
