//go:build unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/alert"
	"graphrelay/relay/attention"
	"graphrelay/relay/control"
)

// stubAlerts is a relay with one incident and two channels.
type stubAlerts struct{}

func (stubAlerts) AlertChannels() []string { return []string{"operators", "chat"} }
func (stubAlerts) Incidents(context.Context, bool) ([]alert.Incident, error) {
	return []alert.Incident{{Ref: "K7QMD2", Condition: attention.Condition{ID: "MailHeld", Severity: attention.Warning, Since: time.Now(), Summary: "Mail is held", Cause: "hostile \x1b[31m", Remedy: "Decide."}}}, nil
}
func (stubAlerts) TestAlert(_ context.Context, channel string) (string, error) {
	switch channel {
	case "operators":
		return "queued", nil
	case "chat":
		return "", errors.New("the answer is 404 Not Found")
	}
	return "", alert.ErrNoChannel
}

func TestAlertsCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(file, []byte("data_dir: "+dir+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	execute(t, "", "alerts", "--config", file).want(t, exitFault, "no relay runs")
	s, err := control.Listen(dir, serveAlerts(stubAlerts{}, http.NotFoundHandler()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	execute(t, "", "alerts", "--config", file).want(t, exitOK, "K7QMD2  warning  MailHeld  Mail is held\n    since ", "hostile ?[31m\n    What to do: Decide.")
	execute(t, "", "alerts", "--config", file, "--json").want(t, exitOK, `"reference":"K7QMD2","id":"MailHeld"`)
	execute(t, "", "alerts", "test", "--config", file).want(t, exitFault, "chat: not sent: the answer is 404 Not Found\n")
	execute(t, "", "alerts", "test", "pager", "--config", file).want(t, exitFault, "there is no such channel")
}
