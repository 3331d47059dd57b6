package console

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// scripts is where the scripts of the browser are.
const scripts = "../clients/testdata/browser"

// browser returns the programs with which a script runs, and its path.
func browser(t *testing.T, script string) (node, chromium, path string) {
	t.Helper()
	node, chromium = harness.NeedTool(t, "node"), harness.NeedTool(t, "chromium-headless-shell")
	for _, module := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join(scripts, "node_modules", module)); err != nil {
			harness.SkipUnlessCI(t, "%s is not installed; .ci/install installs it", module)
		}
	}
	return node, chromium, filepath.Join(scripts, script)
}

// TestPages opens each page, in both themes, on a phone and on a wide screen. No page causes an
// error or breaks its own policy, none is wider than the screen, and axe finds no fault.
func TestPages(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "pages.js")
	r := scene(t)
	args := append([]string{script, "--cookie=" + r.Session(t), chromium, "http://" + r.Address["admin"]}, append(pagesOfMessages(t, r), pagesOfConsole...)...)
	out := harness.Tool(t, "", node, args...)
	var faults []string
	if err := json.Unmarshal([]byte(out), &faults); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// TestLive sees on an open page that a message was sent.
func TestLive(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "live.js")
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim)
	tab := harness.StartCommand(t, "live.js", exec.Command(node, script, "--cookie="+r.Session(t), chromium, "http://"+r.Address["admin"]+"/console/", "#state-sent .n", "1"))
	harness.WaitFor(t, "the page", func() bool { return strings.Contains(tab.Log.String(), "loaded") || !tab.Running() })
	deliver(t, r, "scanner@contoso.test", "anna@example.test", "seen live", 100)
	harness.WaitFor(t, "the message on the page", func() bool { return !tab.Running() })
	if !strings.Contains(tab.Log.String(), "seen") {
		t.Error(tab.Log.String())
	}
}
