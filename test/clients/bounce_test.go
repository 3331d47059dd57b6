package clients

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// notification is a delivery status notification as Python's parser reads it.
type notification struct {
	Type       string
	Defects    []string
	Auto       string
	Text       string
	Message    map[string]string
	Recipients []map[string]string
	Returned   string
}

// TestBounce has a device's message refused and kills the relay. There must be one
// bounce, and another program must be able to read it.
func TestBounce(t *testing.T) {
	t.Parallel()
	python := harness.NeedTool(t, "python3")
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"})
	host, port, _ := strings.Cut(relay.Address["devices"], ":")
	const from = "hp@printers.local"
	harness.Tool(t, "From: "+from+"\nTo: <anna@example.com>\nSubject: refused\n\ntext\n", python, "testdata/clients/dsn_client.py", host, port, from, "anna@example.com")
	bounce := sim.Sent(t, "scanner@contoso.test", "Undelivered Mail: refused")
	harness.WaitFor(t, "the bounce to be counted", func() bool {
		return relay.Metric(t, `graphrelay_bounces_total{connection="contoso",kind="failed"}`) == 1
	})
	relay.Kill(t)
	relay.Start(t)
	harness.WaitFor(t, "an idle relay", func() bool { return relay.Open(t, "failed") == 1 && relay.Open(t, "sent") == 1 })
	if n := len(sim.Ledger(t)); n != 1 || len(bounce.To) != 1 || bounce.To[0].Address != "scanner@contoso.test" {
		t.Errorf("%d were sent, to %+v", n, bounce.To)
	}
	original := relay.Queue(t)[0]
	checkNotification(t, original.ID, harness.Tool(t, string(sim.StoredMIME(t, bounce)), python, "testdata/clients/dsn_client.py"))
	shown := relay.QueueCommand(t, "show", original.ID).Stdout
	for _, want := range []string{"RET=HDRS ENVID=id+1", "NOTIFY=FAILURE,DELAY ORCPT=rfc822;old@example.com", "bounced as "} {
		if !strings.Contains(shown, want) {
			t.Errorf("queue show lacks %q:\n%s", want, shown)
		}
	}
	id, _, _ := strings.Cut(strings.Trim(bounce.InternetMessageID, "<>"), "@")
	if shown := relay.QueueCommand(t, "show", id).Stdout; !strings.Contains(shown, "of "+original.ID) || !strings.Contains(shown, "from the relay itself") || !strings.Contains(shown, "<>") {
		t.Errorf("queue show of the bounce:\n%s", shown)
	}
}

func checkNotification(t *testing.T, id, text string) {
	t.Helper()
	var n notification
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if n.Type != "multipart/report" || len(n.Defects) != 0 || n.Auto != "auto-replied" || n.Returned != "refused" || !strings.Contains(n.Text, id) {
		t.Errorf("it reads as %+v", n)
	}
	if n.Message["Original-Envelope-Id"] != "id+1" || n.Message["Reporting-MTA"] != "dns; relay.contoso.test" || len(n.Recipients) != 1 {
		t.Errorf("the message is %v, the recipients %v", n.Message, n.Recipients)
	}
	for name, want := range map[string]string{"Original-Recipient": "rfc822;old@example.com", "Final-Recipient": "rfc822;anna@example.com", "Action": "failed", "Status": "5.1.3"} {
		if got := n.Recipients[0][name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
