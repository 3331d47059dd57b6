package console

import (
	"os"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// act does steps on a page of the console as an administrator (see act.js).
func act(t *testing.T, r *harness.Relay, page string, steps ...string) {
	t.Helper()
	node, chromium, script := browser(t, "act.js")
	args := append([]string{script, "--cookie=" + r.Session(t), chromium, "http://" + r.Address["admin"] + page}, steps...)
	if out := harness.Tool(t, "", node, args...); !strings.Contains(out, "done") {
		t.Error(out)
	}
}

// TestPauseInBrowser pauses a mailbox with mail and resumes it. Both are in the audit log.
func TestPauseInBrowser(t *testing.T) {
	t.Parallel()
	browser(t, "act.js")
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim)
	deliver(t, r, "scanner@contoso.test", "anna@example.test", "first", 100)
	sim.Sent(t, "scanner@contoso.test", "first")
	act(t, r, "/console/mailboxes", "see scanner@contoso.test", "open Pause contoso/scanner@contoso.test", "press for 1 hour",
		"see contoso/scanner@contoso.test is paused.", "see An operator asked for this")
	deliver(t, r, "scanner@contoso.test", "anna@example.test", "second", 100)
	if got := r.QueueCommand(t, "lanes"); !strings.Contains(got.Stdout, "operator") {
		t.Errorf("the lanes are %s", got.Stdout)
	}
	act(t, r, "/console/mailboxes", "press Resume contoso/scanner@contoso.test", "see contoso/scanner@contoso.test goes on.",
		"go /console/audit", "see resume", "see console link")
	sim.Sent(t, "scanner@contoso.test", "second")
}

// TestReloadInBrowser sees what a reload would change, and reloads. A file with a fault is not
// taken, and the page says what is wrong with it.
func TestReloadInBrowser(t *testing.T) {
	t.Parallel()
	browser(t, "act.js")
	r := harness.StartRelay(t, harness.StartSim(t))
	edit := func(old, changed string) {
		t.Helper()
		text, err := os.ReadFile(r.Config)
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatalf("the configuration has no %q: %v", old, err)
		}
		if err := os.WriteFile(r.Config, []byte(strings.Replace(string(text), old, changed, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("recipients: 500", "recipients: 321")
	act(t, r, "/console/configuration", "see limits.recipients", "press Read the file again", "see The relay has read its configuration again.", "see Nothing:")
	edit("recipients: 321", "recipients: many")
	act(t, r, "/console/configuration", "see would not take the file", "press Read the file again", "see The configuration in use stays",
		"see The last reload failed", "see limits.recipients", "go /console/audit", "see reload")
	harness.WaitFor(t, "the failed reload in the metrics", func() bool { return r.Metric(t, "graphrelay_config_last_reload_successful") == 0 })
}
