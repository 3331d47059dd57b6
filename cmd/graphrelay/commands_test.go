package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestQueueUsage wants exit status 2 for a wrong command line.
func TestQueueUsage(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for _, args := range [][]string{
		{"queue"}, {"queue", "list"}, {"queue", "show", "--config", missing}, {"queue", "list", "--config", missing},
		{"serve"}, {"serve", "--config", missing}, {"serve", "--port", "25"}, {"check"}, {"nonsense"}, {},
	} {
		if got := command(t, "", args...); got.status != 2 || got.stderr == "" || got.stdout != "" {
			t.Errorf("graphrelay %q: status %d, %q, %q", args, got.status, got.stdout, got.stderr)
		}
	}
}

// TestVersion wants version, commit and Go version.
func TestVersion(t *testing.T) {
	t.Parallel()
	got := command(t, "", "version")
	if got.status != 0 || !strings.HasPrefix(got.stdout, "graphrelay ") || !strings.Contains(got.stdout, "commit ") || !strings.Contains(got.stdout, "go1.") {
		t.Errorf("status %d: %s", got.status, got.stdout)
	}
}

// TestDemo runs the command that the project is shown with.
func TestDemo(t *testing.T) {
	t.Parallel()
	got := command(t, "", "demo", "--once")
	if got.status != 0 {
		t.Errorf("status %d\n%s%s", got.status, got.stdout, got.stderr)
	}
}

// TestHashPassword signs in with what hash-password printed.
func TestHashPassword(t *testing.T) {
	t.Parallel()
	const password = "pass word: \"ünï\""
	got := command(t, password+"\n", "hash-password")
	if got.status != 0 {
		t.Fatalf("status %d: %s", got.status, got.stderr)
	}
	sim := startSim(t)
	relay := startRelay(t, sim, addUser("accounts", strings.TrimSpace(got.stdout)))
	if answer := relay.signIn("accounts", password); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("sign in: %s", answer)
	}
}
