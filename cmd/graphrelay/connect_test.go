package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
)

// submitAs sends with the user of a connected mailbox.
func (r *relayProcess) submitAs(t *testing.T, user, password, subject string) {
	t.Helper()
	s := submission{relay: r, listener: "submission"}
	tool(t, "", needTool(t, "swaks"), "--server", "127.0.0.1", "--port", s.port(), "--tls", "--hide-all", "--from", user, "--to", "bert@example.test",
		"--auth", "PLAIN", "--auth-user", user, "--auth-password", password, "--h-Subject", subject)
}

// An owner connects a mailbox in a browser, and a mail client sends with what the page gave.
func TestConnectInBrowser(t *testing.T) {
	t.Parallel()
	node, chromium := needTool(t, "node"), needTool(t, "chromium-headless-shell")
	if _, err := os.Stat("testdata/browser/node_modules/playwright-core"); err != nil {
		skipUnlessCI(t, "playwright-core is not installed; .ci/install installs it")
	}
	sim := startSim(t)
	r := startOwners(t, sim)
	var got struct {
		User, Password, URL string
		Problems            []string
	}
	out := tool(t, "", node, "testdata/browser/connect.js", chromium, "http://"+r.address["admin"]+"/connect", "anna@contoso.test")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.User != "anna@contoso.test" || len(got.Problems) != 0 {
		t.Errorf("got %+v", got)
	}
	r.submitAs(t, got.User, got.Password, "from the browser")
	if m := sim.sent(t, "anna@contoso.test", "from the browser"); m.Mailbox != "anna@contoso.test" {
		t.Errorf("sent from %s", m.Mailbox)
	}
}

// An owner connects a mailbox with a device code, sends, and connects it again after the
// consent was revoked; what was held goes out.
func TestConnectCommand(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	r := startOwners(t, sim)
	if got := r.connect(t, "anna@contoso.test", "mallory@contoso.test"); got.status != 1 || !strings.Contains(got.stdout, "may not use the mailbox anna@contoso.test") {
		t.Errorf("as another: status %d\n%s", got.status, got.stdout)
	}
	got := r.connect(t, "Anna@contoso.test", "anna@contoso.test")
	password := smtpPassword.FindStringSubmatch(got.stdout)
	if got.status != 0 || password == nil {
		t.Fatalf("status %d\n%s", got.status, got.stdout)
	}
	r.submitAs(t, "anna@contoso.test", password[1], "first")
	sim.sent(t, "anna@contoso.test", "first")

	request, _ := http.NewRequest(http.MethodDelete, sim.url+"/_simulator/consent?mailbox=anna@contoso.test", nil)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	r.submitAs(t, "anna@contoso.test", password[1], "second")
	waitFor(t, "a held message", func() bool {
		list := command(t, "", "queue", "list", "--state", "held", "--json", "--config", r.config)
		return strings.Contains(list.stdout, `"not_connected"`)
	})
	if list := command(t, "", "connect", "--list", "--config", r.config); !strings.Contains(list.stdout, "to be connected again: AADSTS50173") {
		t.Errorf("list:\n%s%s", list.stdout, list.stderr)
	}
	if got := r.connect(t, "anna@contoso.test", "anna@contoso.test"); got.status != 0 {
		t.Fatalf("again: status %d\n%s", got.status, got.stdout)
	}
	sim.sent(t, "anna@contoso.test", "second")
	if got := command(t, "", "connect", "anna@contoso.test", "--disconnect", "--config", r.config); got.status != 0 {
		t.Errorf("disconnect: status %d\n%s", got.status, got.stderr)
	}
	if got := command(t, "", "connect", "anna@contoso.test", "--disconnect", "--config", r.config); got.status != 1 || !strings.Contains(got.stderr, "--list shows") {
		t.Errorf("disconnect twice: status %d\n%s", got.status, got.stderr)
	}
}
