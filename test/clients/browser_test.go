package clients

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// An owner connects a mailbox in a browser, after a wrong address and a change of mind, and a
// mail client sends with the user and password that the page shows.
func TestConnectInBrowser(t *testing.T) {
	t.Parallel()
	node, chromium := harness.NeedTool(t, "node"), harness.NeedTool(t, "chromium-headless-shell")
	for _, module := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat("testdata/browser/node_modules/" + module); err != nil {
			harness.SkipUnlessCI(t, "%s is not installed; .ci/install installs it", module)
		}
	}
	sim := harness.StartSim(t)
	r := harness.StartOwners(t, sim)
	var got struct {
		User, Password, URL      string
		Unserved, Declined, Code string
		Problems                 []string
	}
	out := harness.Tool(t, "", node, "testdata/browser/connect.js", chromium, "http://"+r.Address["admin"]+"/connect", "anna@contoso.test")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.User != "anna@contoso.test" || len(got.Problems) != 0 || !strings.Contains(got.Unserved, "sends from addresses at contoso.test") ||
		!strings.Contains(got.Declined, "choose Accept") || !strings.Contains(got.Code, "AADSTS65004") {
		t.Errorf("got %+v", got)
	}
	harness.Tool(t, "", harness.NeedTool(t, "swaks"), "--server", "127.0.0.1", "--port", r.Port(t, "submission"), "--tls", "--hide-all",
		"--from", got.User, "--to", "bert@example.test", "--auth", "PLAIN", "--auth-user", got.User, "--auth-password", got.Password,
		"--h-Subject", "from the browser")
	if m := sim.Sent(t, "anna@contoso.test", "from the browser"); m.Mailbox != "anna@contoso.test" {
		t.Errorf("sent from %s", m.Mailbox)
	}
}
