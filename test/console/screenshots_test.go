package console

import (
	"flag"
	"testing"
	"time"

	"graphrelay/test/harness"
)

var minutes = flag.Int("minutes", 10, "for how long mail flows before screenshots are taken")

var images = flag.String("images", "", "write screenshots of the console's pages into this folder")

// pagesOfConsole are the pages that are opened and shown.
var pagesOfConsole = []string{"/console/", "/console/?span=day", "/console/mailboxes", "/console/connections", "/console/listeners", "/console/nodes", "/console/configuration", "/console/configuration?show=all", "/console/audit"}

// TestScreenshots takes the screenshots of the documentation.
func TestScreenshots(t *testing.T) {
	if *images == "" {
		t.Skip("takes minutes and writes files: run test/console/screenshots")
	}
	node, chromium, script := browser(t, "screenshots.js")
	r := scene(t)
	for range *minutes { // so that there is something to plot
		time.Sleep(time.Minute)
		deliver(t, r, "crm@contoso.test", "bert@example.test", "Reminder", 1500)
	}
	args := append([]string{script, "--cookie=" + r.Session(t), chromium, *images, "http://" + r.Address["admin"]}, append(pagesOfMessages(t, r), pagesOfConsole...)...)
	t.Log(harness.Tool(t, "", node, args...))
}
