package console

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestUploadInBrowser sees on the page of a message how far the upload of a file is, while Graph
// takes no more of it, and on the open page that the message is sent in the end.
func TestUploadInBrowser(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "live.js")
	sim := harness.StartSim(t)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpUpload, Nth: 2, Count: 1_000_000, Status: 503, Code: "serviceUnavailable"})
	r := harness.StartRelay(t, sim, harness.DeliveryKey("retry_delays: [500ms]"))
	mailFile(t, r, "large", "large.txt", strings.Repeat(strings.Repeat("x", 998)+"\r\n", 12_000))
	var id string
	progress := regexp.MustCompile(`Uploading file 1: .*<progress max="100" value="(\d+)">`)
	harness.WaitFor(t, "a part of the file", func() bool {
		for _, q := range r.Queue(t) {
			id = q.ID
		}
		_, body := request(t, r, r.Session(t), "/console/messages/"+id, nil)
		m := progress.FindStringSubmatch(body)
		if m == nil {
			return false
		}
		percent, err := strconv.Atoi(m[1])
		return err == nil && percent > 0 && percent < 100
	})
	operate(t, r, []string{"open", "/console/messages/" + id}, []string{"see", "Uploading file 1: "}, []string{"see", " of 12 MB"}, []string{"shot", "upload"})
	tab := harness.StartCommand(t, "live.js", exec.Command(node, script, "--cookie="+r.Session(t), chromium, "http://"+r.Address["admin"]+"/console/messages/"+id, ".figure-badge", "sent"))
	harness.WaitFor(t, "the page", func() bool { return strings.Contains(tab.Log.String(), "loaded") || !tab.Running() })
	sim.ClearFaults(t)
	harness.WaitFor(t, "the end of the upload on the page", func() bool { return !tab.Running() })
	if !strings.Contains(tab.Log.String(), "seen") {
		t.Error(tab.Log.String())
	}
	operate(t, r, []string{"open", "/console/messages/" + id}, []string{"see", "sent"}, []string{"absent", "main progress"})
}
