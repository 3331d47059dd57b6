package relay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/config"
)

func TestNodeName(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	named := func(cfg *config.Config) string {
		t.Helper()
		n, err := newNode(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return n.Name
	}
	alone := config.Default()
	alone.DataDir = t.TempDir()
	if got := named(alone); got != host {
		t.Errorf("a relay that is alone is called %s, want %s", got, host)
	}
	if entries, err := os.ReadDir(alone.DataDir); err != nil || len(entries) > 0 {
		t.Errorf("it has left %v, %v", entries, err)
	}

	shared := config.Default()
	shared.DataDir = filepath.Join(t.TempDir(), "new")
	shared.Queue.URL = config.NewSecret("postgres://db/q")
	first := named(shared)
	if !strings.HasPrefix(first, host+"-") || named(shared) != first {
		t.Errorf("it is called %s, then %s", first, named(shared))
	}
	other := config.Default()
	other.DataDir, other.Queue.URL = t.TempDir(), shared.Queue.URL
	if named(other) == first {
		t.Errorf("two relays of this host are called %s", first)
	}
	a, _ := newNode(shared)
	b, _ := newNode(shared)
	if a.ID == b.ID {
		t.Error("two processes have the same ID")
	}
	shared.Queue.Node = "relay1"
	if named(shared) != "relay1" {
		t.Error("the name of the configuration is not used")
	}
	shared.Queue.Node = ""
	for _, damaged := range []string{"", "ab cd", strings.Repeat("x", 17), "\x1b[2J"} {
		if err := os.WriteFile(filepath.Join(shared.DataDir, "node"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := newNode(shared); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("with %q in the file: %v", damaged, err)
		}
	}
}
