//go:build unix

package edge

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"graphrelay/test/harness"
)

// TestDataDirIsPrivate starts a relay in a directory that lets other users of the machine in,
// without a umask. They can read no file of it, and the log warns of the directory.
func TestDataDirIsPrivate(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.NewRelay(t, sim, harness.WithPasswords)
	data := filepath.Join(relay.Dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o755); err != nil { // whatever the umask of the test
		t.Fatal(err)
	}
	relay.Launch = func(c *exec.Cmd) error {
		c.Args = append([]string{"sh", "-c", `umask 0; exec "$0" "$@"`}, c.Args...)
		c.Path = "/bin/sh"
		return c.Start()
	}
	relay.Start(t)
	relay.PauseAll(t)
	for i, size := range []int{100, 1 << 20} {
		s := harness.TenKilobytes("private")(i)
		s.Files = []harness.File{harness.NewFile(t, "f.bin", "application/octet-stream", harness.Noise("private", size))}
		if answer := relay.SendOne(t, s); !strings.HasPrefix(answer, "250 ") {
			t.Fatal(answer)
		}
	}
	if answer := relay.SignIn(harness.CRMUser, harness.CRMPassword); !strings.HasPrefix(answer, "235 ") {
		t.Fatal(answer)
	}
	seen := private(t, data)
	relay.Stop(t)
	for name := range private(t, data) {
		seen[name] = true
	}
	for _, name := range []string{"queue.db", "queue.db-wal", "queue.db-shm", "bodies", "lock", "known-clients.json"} {
		if !seen[name] {
			t.Errorf("there was no %s among %v", name, seen)
		}
	}
	if log := relay.Log.String(); !strings.Contains(log, "chmod 700") {
		t.Errorf("no warning of the directory:\n%s", log)
	}
}

// private fails the test if other users can read a file in a directory. It returns the names
// of the files.
func private(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		names[e.Name()] = true
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return names
}

// TestGuessesOverReloads reloads the relay beside guesses: who guesses stays blocked, and a
// user who has signed in from an address is not shut out by guesses of others there.
func TestGuessesOverReloads(t *testing.T) {
	t.Parallel()
	harness.NeedAddresses(t)
	const office, elsewhere = "127.0.0.5", "127.0.0.66"
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.WithPasswords, harness.LimitsKey("auth_failures: 3"))
	signIn := func(from, password, want string) {
		t.Helper()
		if got, err := guess(relay, from, harness.CRMUser, password); err != nil || got != want {
			t.Errorf("the sign-in from %s is answered %s, %v; want %s", from, got, err, want)
		}
	}
	reloads := 0
	reload := func() {
		t.Helper()
		reloads++
		relay.Signal(syscall.SIGHUP)
		harness.WaitFor(t, "the reload", func() bool { return strings.Count(relay.Log.String(), "configuration reloaded") == reloads })
	}
	signIn(office, harness.CRMPassword, "235")
	for range 3 {
		signIn(elsewhere, "guess", "535")
	}
	signIn(elsewhere, harness.CRMPassword, "421")
	reload()
	signIn(elsewhere, harness.CRMPassword, "421")
	var guessing sync.WaitGroup
	for i := range 12 {
		guessing.Go(func() {
			if got, err := guess(relay, office, fmt.Sprint("nobody", i), "guess"); err != nil || got != "535" && got != "421" {
				t.Errorf("a guess is answered %s, %v", got, err)
			}
		})
	}
	guessing.Wait()
	signIn(office, harness.CRMPassword, "235")
	reload()
	signIn(office, harness.CRMPassword, "235")
	if got, err := guess(relay, office, "somebody", "guess"); err != nil || got != "421" {
		t.Errorf("one more guess is answered %s, %v", got, err)
	}
}
