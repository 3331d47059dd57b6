package contract

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// TestLanes pauses and resumes a lane of a running relay, and lists its mail with every
// filter.
func TestLanes(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	const lane = "contoso/crm@contoso.test"
	ok := func(args ...string) string {
		t.Helper()
		got := relay.QueueCommand(t, args...)
		if got.Status != 0 || got.Stderr != "" {
			t.Fatalf("queue %q: status %d, %s", args, got.Status, got.Stderr)
		}
		return got.Stdout
	}
	ok("pause", "--for", "1h", lane)
	d, err := relay.Dial("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	id, err := d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader(oddMessage("paused")))
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Lane        struct{ Connection, Mailbox string }
		Messages    map[string]int
		PausedUntil time.Time `json:"paused_until"`
		PausedFor   string    `json:"paused_for"`
	}
	if err := json.Unmarshal([]byte(ok("lanes", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Lane.Mailbox != "crm@contoso.test" || shown.Messages["queued"] != 1 || shown.PausedFor != "operator" || time.Until(shown.PausedUntil) > time.Hour {
		t.Errorf("the lane is %+v", shown)
	}
	if text := ok("lanes"); !strings.Contains(text, lane) || !strings.Contains(text, "operator") {
		t.Errorf("the lanes are\n%s", text)
	}
	for args, listed := range map[string]bool{
		"--lane " + lane: true, "--lane contoso": true, "--lane other": false, "--from CRM@": true, "--from anna": false,
		"--to anna": true, "--to crm": false, "--reason network": false, "--older 1h": false, "--older 1ns": true, "--state queued": true, "--state held": false,
	} {
		if out := ok(append([]string{"list"}, strings.Fields(args)...)...); strings.Contains(out, id) != listed {
			t.Errorf("queue list %s:\n%s", args, out)
		}
	}
	for _, args := range [][]string{{"resume", "contoso/other@contoso.test"}, {"resume", "nowhere"}, {"pause", "nowhere/x@y"}, {"pause", "--for", "-1h", lane}} {
		if got := relay.QueueCommand(t, args...); got.Status != 1 || got.Stdout != "" || strings.Count(got.Stderr, "\n") != 1 {
			t.Errorf("queue %q: status %d, %q, %q", args, got.Status, got.Stdout, got.Stderr)
		}
	}
	ok("resume", "--json", lane)
	sim.Sent(t, "crm@contoso.test", "paused")
	relay.Settled(t)
	wantState(t, relay, id, "sent")
}
