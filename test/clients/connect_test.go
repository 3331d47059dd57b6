package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// submitAs sends with the user of a connected mailbox.
func submitAs(t *testing.T, r *harness.Relay, user, password, subject string) {
	t.Helper()
	s := submission{relay: r, listener: "submission"}
	harness.Tool(t, "", harness.NeedTool(t, "swaks"), "--server", "127.0.0.1", "--port", s.port(), "--tls", "--hide-all", "--from", user, "--to", "bert@example.test",
		"--auth", "PLAIN", "--auth-user", user, "--auth-password", password, "--h-Subject", subject)
}

// An owner connects a mailbox in a browser, and a mail client sends with what the page gave.
func TestConnectInBrowser(t *testing.T) {
	t.Parallel()
	node, chromium := harness.NeedTool(t, "node"), harness.NeedTool(t, "chromium-headless-shell")
	if _, err := os.Stat("testdata/browser/node_modules/playwright-core"); err != nil {
		harness.SkipUnlessCI(t, "playwright-core is not installed; .ci/install installs it")
	}
	sim := harness.StartSim(t)
	r := harness.StartOwners(t, sim)
	var got struct {
		User, Password, URL string
		Problems            []string
	}
	out := harness.Tool(t, "", node, "testdata/browser/connect.js", chromium, "http://"+r.Address["admin"]+"/connect", "anna@contoso.test")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.User != "anna@contoso.test" || len(got.Problems) != 0 {
		t.Errorf("got %+v", got)
	}
	submitAs(t, r, got.User, got.Password, "from the browser")
	if m := sim.Sent(t, "anna@contoso.test", "from the browser"); m.Mailbox != "anna@contoso.test" {
		t.Errorf("sent from %s", m.Mailbox)
	}
}

// An owner connects a mailbox with a device code, sends, and connects it again after the
// consent was revoked; what was held goes out.
func TestConnectCommand(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	r := harness.StartOwners(t, sim)
	if got := r.Connect(t, "anna@contoso.test", "mallory@contoso.test"); got.Status != 1 || !strings.Contains(got.Stdout, "may not use the mailbox anna@contoso.test") {
		t.Errorf("as another: status %d\n%s", got.Status, got.Stdout)
	}
	got := r.Connect(t, "Anna@contoso.test", "anna@contoso.test")
	password := harness.SMTPPassword.FindStringSubmatch(got.Stdout)
	if got.Status != 0 || password == nil {
		t.Fatalf("status %d\n%s", got.Status, got.Stdout)
	}
	submitAs(t, r, "anna@contoso.test", password[1], "first")
	sim.Sent(t, "anna@contoso.test", "first")

	request, _ := http.NewRequest(http.MethodDelete, sim.URL+"/_simulator/consent?mailbox=anna@contoso.test", nil)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	submitAs(t, r, "anna@contoso.test", password[1], "second")
	harness.WaitFor(t, "a held message", func() bool {
		list := harness.Command(t, "", "queue", "list", "--state", "held", "--json", "--config", r.Config)
		return strings.Contains(list.Stdout, `"not_connected"`)
	})
	if list := harness.Command(t, "", "connect", "--list", "--config", r.Config); !strings.Contains(list.Stdout, "to be connected again: AADSTS50173") {
		t.Errorf("list:\n%s%s", list.Stdout, list.Stderr)
	}
	if got := r.Connect(t, "anna@contoso.test", "anna@contoso.test"); got.Status != 0 {
		t.Fatalf("again: status %d\n%s", got.Status, got.Stdout)
	}
	sim.Sent(t, "anna@contoso.test", "second")
	if got := harness.Command(t, "", "connect", "anna@contoso.test", "--disconnect", "--config", r.Config); got.Status != 0 {
		t.Errorf("disconnect: status %d\n%s", got.Status, got.Stderr)
	}
	if got := harness.Command(t, "", "connect", "anna@contoso.test", "--disconnect", "--config", r.Config); got.Status != 1 || !strings.Contains(got.Stderr, "--list shows") {
		t.Errorf("disconnect twice: status %d\n%s", got.Status, got.Stderr)
	}
}
