//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/api"
	"graphrelay/relay/attention"
	"graphrelay/relay/control"
	"graphrelay/relay/operations"
)

// stubAlerts is a relay with one incident and two channels.
type stubAlerts struct{}

func (stubAlerts) Incidents(context.Context, bool) ([]operations.Incident, error) {
	return []operations.Incident{{Reference: "K7QMD2", ID: "MailHeld", Severity: attention.Warning, Since: time.Now(), Summary: "Mail is held", Cause: "hostile \x1b[31m", Remedy: "Decide."}}, nil
}

func (stubAlerts) TestAlerts(_ context.Context, channel string) ([]operations.AlertTest, error) {
	if channel != "" {
		return nil, &operations.Error{Kind: operations.ErrNoChannel, Text: "there is no such channel"}
	}
	return []operations.AlertTest{{Channel: "operators", Result: "queued"}, {Channel: "chat", Error: "the answer is 404 Not Found"}}, nil
}

func TestAlertsCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(file, []byte("data_dir: "+dir+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	execute(t, "", "alerts", "--config", file).want(t, exitFault, "no relay runs")
	h, err := api.New(api.Config{Alerts: stubAlerts{}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := control.Listen(dir, api.OnSocket(h), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	execute(t, "", "alerts", "--config", file).want(t, exitOK, "K7QMD2  warning  MailHeld  Mail is held\n    since ", "hostile ?[31m\n    What to do: Decide.")
	execute(t, "", "alerts", "--config", file, "--json").want(t, exitOK, `"reference":"K7QMD2","id":"MailHeld"`)
	execute(t, "", "alerts", "test", "--config", file).want(t, exitFault, "chat: not sent: the answer is 404 Not Found\n")
	execute(t, "", "alerts", "test", "pager", "--config", file).want(t, exitFault, "there is no such channel")
}
