package contract

import (
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestQueueUsage expects exit status 2 for a wrong command line.
func TestQueueUsage(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for _, args := range [][]string{
		{"queue"}, {"queue", "list"}, {"queue", "show", "--config", missing}, {"queue", "list", "--config", missing},
		{"serve"}, {"serve", "--config", missing}, {"serve", "--port", "25"}, {"check"}, {"nonsense"}, {},
	} {
		if got := harness.Command(t, "", args...); got.Status != 2 || got.Stderr == "" || got.Stdout != "" {
			t.Errorf("graphrelay %q: status %d, %q, %q", args, got.Status, got.Stdout, got.Stderr)
		}
	}
}

// TestVersion expects the version, the commit and the Go version.
func TestVersion(t *testing.T) {
	t.Parallel()
	got := harness.Command(t, "", "version")
	if got.Status != 0 || !strings.HasPrefix(got.Stdout, "graphrelay ") || !strings.Contains(got.Stdout, "commit ") || !strings.Contains(got.Stdout, "go1.") {
		t.Errorf("status %d: %s", got.Status, got.Stdout)
	}
}

// TestDemo runs the demonstration once.
func TestDemo(t *testing.T) {
	t.Parallel()
	got := harness.Command(t, "", "demo", "--once")
	if got.Status != 0 {
		t.Errorf("status %d\n%s%s", got.Status, got.Stdout, got.Stderr)
	}
}

// TestHashPassword signs in with what hash-password printed.
func TestHashPassword(t *testing.T) {
	t.Parallel()
	const password = "pass word: \"ünï\""
	got := harness.Command(t, password+"\n", "hash-password")
	if got.Status != 0 {
		t.Fatalf("status %d: %s", got.Status, got.Stderr)
	}
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.AddUser("accounts", strings.TrimSpace(got.Stdout)))
	if answer := relay.SignIn("accounts", password); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("sign in: %s", answer)
	}
}
