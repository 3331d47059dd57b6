package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// parseFilter returns the filter of a command line.
func parseFilter(t *testing.T, args ...string) (queue.Filter, error) {
	t.Helper()
	var l filterFlags
	c := &cobra.Command{}
	l.add(c, 7)
	if err := c.ParseFlags(args); err != nil {
		return queue.Filter{}, err
	}
	return l.filter()
}

func TestFilterFlags(t *testing.T) {
	waiting := []queue.State{queue.Queued, queue.Delivering, queue.Deferred, queue.Held, queue.Returned, queue.Failed}
	for states, want := range map[string][]queue.State{
		"": waiting, "all": queue.States(), "sent": {queue.Sent}, "held, failed": {queue.Held, queue.Failed}, "deleted": {queue.Deleted},
	} {
		f, err := parseFilter(t, "--state", states)
		if err != nil || !slices.Equal(f.States, want) {
			t.Errorf("--state %q selects %v, %v; want %v", states, f.States, err, want)
		}
	}
	f, err := parseFilter(t, "--from", "crm", "--to", "anna", "--lane", "contoso", "--reason", "network, throttled", "--id", "06r", "--client", "192.0.2.", "--text", "1234", "--subject", "invoice",
		"--message-id", "1@x", "--user", "accounts", "--since", "2026-11-29 14:00", "--older", "2026-11-30")
	want := queue.Filter{States: waiting, From: "crm", To: "anna", Lane: "contoso", Reasons: []reason.Reason{"network", "throttled"}, ID: "06r", Client: "192.0.2.", Text: "1234", Subject: "invoice", MessageID: "<1@x>", User: "accounts",
		Since: time.Date(2026, 11, 29, 14, 0, 0, 0, time.Local), Before: time.Date(2026, 11, 30, 0, 0, 0, 0, time.Local), Limit: 7}
	if !slices.Equal(f.States, want.States) {
		t.Errorf("the states are %v", f.States)
	}
	f.States, want.States = nil, nil
	if f.Since.Equal(want.Since) && f.Before.Equal(want.Before) {
		f.Since, f.Before = want.Since, want.Before
	}
	if err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v, %v\nwant %+v", f, err, want)
	}
	if f, _ := parseFilter(t, "--message-id", "<1@x>"); f.MessageID != "<1@x>" {
		t.Errorf("the Message-ID is %q", f.MessageID)
	}
}

// A time is a duration before now, with days as in the configuration, or a local time.
func TestFilterTimes(t *testing.T) {
	f, err := parseFilter(t, "--since", "7d", "--older", "1h")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at   time.Time
		want time.Duration
	}{"since": {f.Since, 7 * 24 * time.Hour}, "older": {f.Before, time.Hour}} {
		if age := time.Since(c.at); age < c.want || age > c.want+time.Minute {
			t.Errorf("--%s is %v ago, want %v", name, age, c.want)
		}
	}
	if f, err := parseFilter(t, "--since", "2026-11-29T14:00:00+02:00"); err != nil || !f.Since.Equal(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("since %v, %v", f.Since, err)
	}
}

// A variable that is not set in a shell leaves an empty value, which must not select every
// message for an action.
func TestEmptyFilters(t *testing.T) { eachWay(t, testEmptyFilters) }

func testEmptyFilters(t *testing.T, fillQueue filler) {
	config, _ := fillQueue(t, "one", "two")
	for _, name := range filterNames {
		for _, with := range [][]string{nil, {"--subject", "one", "--from", "a"}, {"--all"}} {
			args := append([]string{"queue", "delete", "--config", config}, append(with, "--"+name, "")...)
			execute(t, "", args...).wantUsage(t, "--"+name)
		}
	}
	execute(t, "", "queue", "delete", "--config", config, "--lane", " ").wantUsage(t, "--lane is empty")
	if got := execute(t, "", "queue", "list", "--config", config, "--json", "--lane", ""); strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("left are %+v", got)
	}
}

func TestFilterFaults(t *testing.T) {
	for line, want := range map[string]string{
		"--state queued,lost": "lost", "--reason netwrk": "did you mean network?", "--since yesterday": "such as 90s, 2h or 7d",
		"--older -1h": "such as 90s, 2h or 7d", "--limit -1": "negative",
		"--older 0001-01-01T00:00:00Z": "such as 90s, 2h or 7d", "--state held,": "choose from queued, delivering",
	} {
		args := strings.Fields(line)
		if _, err := parseFilter(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
		execute(t, "", append([]string{"queue", "list"}, args...)...).wantUsage(t, want)
		execute(t, "", append([]string{"queue", "hold", "--all"}, args...)...).wantUsage(t, want)
	}
}
