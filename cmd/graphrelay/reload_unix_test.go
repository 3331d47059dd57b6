//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/api"
	"graphrelay/relay/control"
	"graphrelay/relay/operations"
)

// stubRelay is a relay that takes every configuration.
type stubRelay struct{ operations.Live }

func (stubRelay) ReloadFile(context.Context) error { return nil }
func (stubRelay) ConsoleLink(_ context.Context, by string) (string, error) {
	return "http://localhost:9025/console/link?token=of-" + by, nil
}

// Another user can neither reload the relay nor get a link to its console, nor is told that there is
// none.
func TestReloadByAnotherUser(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(file, []byte("data_dir: "+dir+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := api.New(api.Config{Live: stubRelay{}, Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := control.Listen(dir, api.OnSocket(h), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, "", "reload", "--config", file).want(t, exitOK, "reloaded")
	link := execute(t, "", "console", "--config", file)
	link.want(t, exitOK, "http://localhost:9025/console/link?token=of-")
	if strings.Count(link.stdout, "\n") != 1 {
		t.Errorf("console printed %q", link.stdout)
	}
	execute(t, "", "healthcheck", "--config", file).want(t, exitOK, "graphrelay v1.2.3 runs\n")
	command := "reload"
	other := func() outcome { return executeAs(t, dir, command, "--config", file) }
	if os.Geteuid() != 0 { // then nobody else can be had, but a folder that is closed to this user too
		if err := os.Chmod(filepath.Join(dir, "control"), 0); err != nil {
			t.Fatal(err)
		}
		other = func() outcome { return execute(t, "", command, "--config", file) }
	}
	for _, command = range []string{"reload", "console"} {
		other().want(t, exitFault, "as the user of the relay, or as root")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, "", "healthcheck", "--config", file).want(t, exitFault, "no relay")
}
