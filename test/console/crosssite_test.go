package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestCrossSite has a browser that is signed in open pages of other origins: another port of the
// same host, to which the browser sends the cookie, and another host. Their forms do nothing, their
// scripts read nothing, and no frame there shows the console.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "crosssite.js")
	r := harness.StartRelay(t, harness.StartSim(t))
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>evil</title><body>"))
	}))
	t.Cleanup(evil.Close)
	out := harness.Tool(t, "", node, script, "--cookie="+r.Session(t), chromium, "http://"+r.Address["admin"], "/console/sign-out",
		evil.URL+"/", strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)+"/")
	var results []struct {
		Site          string `json:"site"`
		Form          int    `json:"form"`
		Read          any    `json:"read"`
		Framed        int    `json:"framed"`
		StillSignedIn bool   `json:"stillSignedIn"`
	}
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, got := range results {
		if got.Form != http.StatusForbidden || got.Read != "refused" || got.Framed != 0 || !got.StillSignedIn {
			t.Errorf("%+v", got)
		}
	}
}
