package console

import (
	"regexp"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// TestNodesInBrowser drains one of two relays on a shared queue, and ends that. While it is drained
// the other one delivers what it accepts.
func TestNodesInBrowser(t *testing.T) {
	t.Parallel()
	browser(t, "operate.js")
	sim := harness.StartSim(t)
	database := testpostgres.New(t, "fsync=off").Database(t)
	north := harness.StartRelay(t, sim, harness.SharedQueue(database, "north", 30*time.Second))
	south := harness.StartRelay(t, sim, harness.SharedQueue(database, "south", 30*time.Second))
	for _, box := range []string{"crm", "scanner", "billing", "backup"} {
		accept(t, south, box+"@contoso.test", "before")
		sim.Sent(t, box+"@contoso.test", "before")
	}
	operate(t, north, []string{"open", "/console/nodes"}, []string{"see", "south"}, []string{"click", "button", "Drain south"},
		[]string{"see", "south takes no more mailboxes"}, []string{"see", "draining"}, []string{"shot", "nodes"})
	harness.WaitFor(t, "the drained relay to have no mailbox", func() bool {
		_, body := request(t, north, north.Session(t), "/console/nodes", nil)
		return mailboxesOf(body, "south") == "0"
	})
	accept(t, south, "crm@contoso.test", "meanwhile")
	sim.Sent(t, "crm@contoso.test", "meanwhile")
	operate(t, north, []string{"open", "/console/nodes"}, []string{"click", "button", "End the drain of south"},
		[]string{"see", "south takes mailboxes again."}, []string{"gone", "draining"}, []string{"open", "/console/audit"}, []string{"see", "undrain"})
}

// accept sends a message until it is accepted: the database may not be reached at once.
func accept(t *testing.T, r *harness.Relay, from, subject string) {
	t.Helper()
	harness.WaitFor(t, "a message to be accepted", func() bool { return try(r, from, "anna@example.test", subject, 100) == nil })
}

// mailboxesOf returns what the page says of how many mailboxes a node has.
func mailboxesOf(page, node string) string {
	m := regexp.MustCompile(`(?s)<th scope="row">` + node + `</th>.*?data-label="Mailboxes" class="number">(\d+)<`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return m[1]
}
