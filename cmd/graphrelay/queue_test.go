package main_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// oddMessage has what a careless export would change: dots, long lines, raw
// UTF-8, tabs, and spaces at the ends of lines.
func oddMessage(subject string) string {
	return "From: <crm@contoso.test>\r\nTo: <anna@example.com>\r\nSubject: " + subject + "\r\nX-Odd:  two  spaces \r\n\tfolded\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\n.\r\n..\r\n.dot\r\nこんにちは \t\r\n" + strings.Repeat("long ", 1000) + "\r\n\r\n\r\n"
}

// TestQueueCommands steers messages that cannot be delivered for the moment, with
// the relay running and with the relay stopped.
func TestQueueCommands(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"running", "stopped"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steer(t, name == "stopped")
		})
	}
}

func steer(t *testing.T, stopped bool) {
	sim := startSim(t)
	relay := startRelay(t, sim)
	sim.fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusServiceUnavailable})
	d, err := relay.dial("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ids := map[string]string{}
	for _, subject := range []string{"keep", "drop"} {
		id, err := d.submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader(oddMessage(subject)))
		if err != nil {
			t.Fatal(err)
		}
		ids[subject] = id
	}
	waitFor(t, "the first tries to fail", func() bool { return relay.open(t, "deferred") == 2 })
	if stopped {
		relay.stop(t)
	}
	keep, drop := ids["keep"], ids["drop"]
	relay.wantState(t, keep, "deferred")
	done := func(args ...string) {
		t.Helper()
		if got := relay.queueCommand(t, args...); got.status != 0 {
			t.Errorf("queue %q: status %d, %s", args, got.status, got.stderr)
		}
	}
	done("hold", keep)
	relay.wantState(t, keep, "held")
	done("release", keep)
	relay.wantState(t, keep, "queued", "delivering", "deferred")
	done("hold", keep, drop)
	relay.checkExport(t, keep, oddMessage("keep"))
	relay.checkTexts(t, keep)
	relay.checkUnknown(t)
	done("delete", "--json", drop)
	if got := relay.queueCommand(t, "show", drop); got.status != 1 {
		t.Errorf("show of a deleted message: status %d", got.status)
	}
	sim.clearFaults(t)
	done("retry", keep)
	if stopped {
		relay.start(t)
	}
	sim.sent(t, "crm@contoso.test", "keep")
	relay.settled(t)
	relay.checkEmpty(t)
	if sent := sim.ledger(t); len(sent) != 1 || sent[0].QueueID != keep {
		t.Errorf("sent: %+v, want %s alone", sent, keep)
	}
	relay.wantState(t, keep, "sent")
}

// wantState shows a message and compares its state.
func (r *relayProcess) wantState(t *testing.T, id string, states ...string) {
	t.Helper()
	got := r.queueCommand(t, "show", id, "--json")
	var q queued
	if err := json.Unmarshal([]byte(got.stdout), &q); err != nil || strings.Count(got.stdout, "\n") != 1 {
		t.Fatalf("queue show --json: status %d, %v\n%s%s", got.status, err, got.stdout, got.stderr)
	}
	if q.ID != id || !slices.Contains(states, q.State) {
		t.Errorf("%s is %s, want %s %v", q.ID, q.State, id, states)
	}
	if q.From != "crm@contoso.test" || !slices.Equal(q.To, []string{"anna@example.com"}) || q.User != crmUser || len(q.Events) == 0 {
		t.Errorf("queue show: %+v", q)
	}
}

func (r *relayProcess) checkExport(t *testing.T, id, want string) {
	t.Helper()
	if got := r.queueCommand(t, "export", id); got.status != 0 || got.stdout != want {
		t.Errorf("export: status %d, %q, want %q", got.status, got.stdout, want)
	}
}

// checkTexts looks at the forms for people.
func (r *relayProcess) checkTexts(t *testing.T, id string) {
	t.Helper()
	for _, args := range [][]string{{"list"}, {"show", id}} {
		if got := r.queueCommand(t, args...); got.status != 0 || !strings.Contains(got.stdout, id) || !strings.Contains(got.stdout, "held") {
			t.Errorf("queue %q: status %d\n%s", args, got.status, got.stdout)
		}
	}
}

// checkUnknown wants exit status 1 and one line for an ID that is not there.
func (r *relayProcess) checkUnknown(t *testing.T) {
	t.Helper()
	for _, action := range []string{"show", "hold", "release", "retry", "delete", "export"} {
		for _, id := range []string{"0000000000000000", "nonsense", "../../relay.key"} {
			got := r.queueCommand(t, action, id)
			if got.status != 1 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("queue %s %s: status %d, %q, %q", action, id, got.status, got.stdout, got.stderr)
			}
		}
	}
}
