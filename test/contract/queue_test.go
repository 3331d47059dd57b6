package contract

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// oddMessage returns a message with all that a careless export would change: dots, long
// lines, raw UTF-8, tabs, and spaces at the ends of lines.
func oddMessage(subject string) string {
	return "From: <crm@contoso.test>\r\nTo: <anna@example.com>\r\nSubject: " + subject + "\r\nX-Odd:  two  spaces \r\n\tfolded\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\n.\r\n..\r\n.dot\r\nこんにちは \t\r\n" + strings.Repeat("long ", 1000) + "\r\n\r\n\r\n"
}

// TestQueueCommands controls messages that cannot be delivered at the moment, with the
// relay running and with the relay stopped.
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
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusServiceUnavailable})
	d, err := relay.Dial("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ids := map[string]string{}
	for _, subject := range []string{"keep", "drop"} {
		id, err := d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader(oddMessage(subject)))
		if err != nil {
			t.Fatal(err)
		}
		ids[subject] = id
	}
	harness.WaitFor(t, "the first tries to fail", func() bool { return relay.Open(t, "deferred") == 2 })
	if stopped {
		relay.Stop(t)
	}
	keep, drop := ids["keep"], ids["drop"]
	wantState(t, relay, keep, "deferred")
	done := func(args ...string) {
		t.Helper()
		if got := relay.QueueCommand(t, args...); got.Status != 0 {
			t.Errorf("queue %q: status %d, %s", args, got.Status, got.Stderr)
		}
	}
	done("hold", keep)
	wantState(t, relay, keep, "held")
	done("release", keep)
	wantState(t, relay, keep, "queued", "delivering", "deferred")
	done("hold", keep, drop)
	checkExport(t, relay, keep, oddMessage("keep"))
	checkTexts(t, relay, keep)
	checkUnknown(t, relay)
	done("delete", "--json", drop)
	if got := relay.QueueCommand(t, "show", drop); got.Status != 1 {
		t.Errorf("show of a deleted message: status %d", got.Status)
	}
	sim.ClearFaults(t)
	done("retry", keep)
	if stopped {
		relay.Start(t)
	}
	sim.Sent(t, "crm@contoso.test", "keep")
	relay.Settled(t)
	relay.CheckEmpty(t)
	if sent := sim.Ledger(t); len(sent) != 1 || sent[0].QueueID != keep {
		t.Errorf("sent: %+v, want %s alone", sent, keep)
	}
	wantState(t, relay, keep, "sent")
}

// wantState fails the test unless the message has one of the states.
func wantState(t *testing.T, r *harness.Relay, id string, states ...string) {
	t.Helper()
	got := r.QueueCommand(t, "show", id, "--json")
	var q harness.Queued
	if err := json.Unmarshal([]byte(got.Stdout), &q); err != nil || strings.Count(got.Stdout, "\n") != 1 {
		t.Fatalf("queue show --json: status %d, %v\n%s%s", got.Status, err, got.Stdout, got.Stderr)
	}
	if q.ID != id || !slices.Contains(states, q.State) {
		t.Errorf("%s is %s, want %s %v", q.ID, q.State, id, states)
	}
	if q.From != "crm@contoso.test" || !slices.Equal(q.To, []string{"anna@example.com"}) || q.User != harness.CRMUser || len(q.Events) == 0 {
		t.Errorf("queue show: %+v", q)
	}
}

func checkExport(t *testing.T, r *harness.Relay, id, want string) {
	t.Helper()
	if got := r.QueueCommand(t, "export", id); got.Status != 0 || got.Stdout != want {
		t.Errorf("export: status %d, %q, want %q", got.Status, got.Stdout, want)
	}
}

// checkTexts checks the output without --json.
func checkTexts(t *testing.T, r *harness.Relay, id string) {
	t.Helper()
	for _, args := range [][]string{{"list"}, {"show", id}} {
		if got := r.QueueCommand(t, args...); got.Status != 0 || !strings.Contains(got.Stdout, id) || !strings.Contains(got.Stdout, "held") {
			t.Errorf("queue %q: status %d\n%s", args, got.Status, got.Stdout)
		}
	}
}

// checkUnknown expects exit status 1 and one line for an unknown ID.
func checkUnknown(t *testing.T, r *harness.Relay) {
	t.Helper()
	for _, action := range []string{"show", "hold", "release", "retry", "delete", "export"} {
		for _, id := range []string{"0000000000000000", "nonsense", "../../relay.key"} {
			got := r.QueueCommand(t, action, id)
			if got.Status != 1 || got.Stdout != "" || strings.Count(got.Stderr, "\n") != 1 {
				t.Errorf("queue %s %s: status %d, %q, %q", action, id, got.Status, got.Stdout, got.Stderr)
			}
		}
	}
}

// TestQueueFilters controls messages of a running relay by filters.
func TestQueueFilters(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusServiceUnavailable})
	d, err := relay.Dial("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var ids []string
	for _, subject := range []string{"keep", "drop one", "drop two"} {
		id, err := d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader(oddMessage(subject)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	harness.WaitFor(t, "the first tries to fail", func() bool { return relay.Open(t, "deferred") == 3 })
	want := func(status int, stdout string, args ...string) {
		t.Helper()
		if got := relay.QueueCommand(t, args...); got.Status != status || got.Stdout != stdout || (got.Stderr == "") != (status == 0) || strings.Count(got.Stderr, "\n") > 1 {
			t.Errorf("queue %q: %+v", args, got)
		}
	}
	want(2, "", "delete")
	want(1, "", "delete", "--lane", "other")
	want(0, "would delete 2 messages\n", "delete", "--subject", "drop", "--dry-run")
	want(0, `{"done":"delete","messages":2}`+"\n", "delete", "--subject", "DROP", "--since", "1h", "--user", harness.CRMUser, "--json")
	if got := relay.QueueCommand(t, "list", "--state", "deleted", "--limit", "1"); got.Status != 0 || !strings.Contains(got.Stdout, ids[1]) || got.Stderr != "1 of 2 messages; --limit shows more\n" {
		t.Errorf("the deleted ones: %+v", got)
	}
	sim.ClearFaults(t)
	want(0, "retry 1 message\n", "retry", "--all")
	sim.Sent(t, "crm@contoso.test", "keep")
	relay.Settled(t)
	relay.CheckEmpty(t)
	if sent := sim.Ledger(t); len(sent) != 1 || sent[0].QueueID != ids[0] {
		t.Errorf("sent: %+v, want %s alone", sent, ids[0])
	}
	if got := relay.QueueCommand(t, "log"); got.Status != 0 || strings.Count(got.Stdout, "\n") != 4 {
		t.Errorf("the log: %+v", got)
	}
}

// TestCommandLine: a flag may have one dash, and the configuration may be named by the
// environment alone.
func TestCommandLine(t *testing.T) {
	relay := harness.StartRelay(t, harness.StartSim(t))
	for _, args := range [][]string{{"queue", "list", "-json", "-config", relay.Config}, {"queue", "-config=" + relay.Config, "list"}, {"check", "-config", relay.Config}} {
		if got := harness.Command(t, "", args...); got.Status != 0 {
			t.Errorf("graphrelay %q: %+v", args, got)
		}
	}
	t.Setenv("GRAPHRELAY_CONFIG", relay.Config)
	if got := harness.Command(t, "", "queue", "list"); got.Status != 0 {
		t.Errorf("with the file in the environment: %+v", got)
	}
	if version, flag := harness.Command(t, "", "version"), harness.Command(t, "", "--version"); flag != version || flag.Status != 0 {
		t.Errorf("--version: %+v, version: %+v", flag, version)
	}
}
