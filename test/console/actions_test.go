package console

import (
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
		"see contoso/scanner@contoso.test is paused.", "see an operator asked for it")
	deliver(t, r, "scanner@contoso.test", "anna@example.test", "second", 100)
	if got := r.QueueCommand(t, "lanes"); !strings.Contains(got.Stdout, "operator") {
		t.Errorf("the lanes are %s", got.Stdout)
	}
	act(t, r, "/console/mailboxes", "press Resume contoso/scanner@contoso.test", "see contoso/scanner@contoso.test goes on.",
		"go /console/audit", "see resume", "see console link")
	sim.Sent(t, "scanner@contoso.test", "second")
}
