package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/queue"
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
	f, err := parseFilter(t, "--from", "crm", "--to", "anna", "--lane", "contoso", "--reason", "network", "--subject", "invoice",
		"--message-id", "1@x", "--user", "accounts", "--since", "2026-11-29 14:00", "--older", "2026-11-30")
	want := queue.Filter{States: waiting, From: "crm", To: "anna", Lane: "contoso", Reason: "network", Subject: "invoice", MessageID: "<1@x>", User: "accounts",
		Since: time.Date(2026, 11, 29, 14, 0, 0, 0, time.Local), Before: time.Date(2026, 11, 30, 0, 0, 0, 0, time.Local), Limit: 7}
	if !slices.Equal(f.States, want.States) {
		t.Errorf("the states are %v", f.States)
	}
	f.States, want.States = nil, nil
	if f.Since.Equal(want.Since) && f.Before.Equal(want.Before) {
		f.Since, f.Before = want.Since, want.Before
	}
	if err != nil || f.MessageID != want.MessageID || f.Subject != want.Subject || f.User != want.User || f.Since != want.Since || f.Before != want.Before ||
		f.From != want.From || f.To != want.To || f.Lane != want.Lane || f.Reason != want.Reason || f.Limit != want.Limit {
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

func TestFilterFaults(t *testing.T) {
	for line, want := range map[string]string{
		"--state queued,lost": "lost", "--reason netwrk": "did you mean network?", "--since yesterday": "such as 90s, 2h or 7d",
		"--older -1h": "such as 90s, 2h or 7d", "--limit -1": "negative",
	} {
		args := strings.Fields(line)
		if _, err := parseFilter(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
		execute(t, "", append([]string{"queue", "list"}, args...)...).wantUsage(t, want)
		execute(t, "", append([]string{"queue", "hold", "--all"}, args...)...).wantUsage(t, want)
	}
}
