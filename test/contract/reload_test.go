package contract

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestReloadCommand changes the configuration of a running relay. check --diff says what will
// change, and reload has the relay use it or says why not.
func TestReloadCommand(t *testing.T) {
	t.Parallel()
	relay := harness.NewRelay(t, harness.StartSim(t))
	ask := func(wantStatus int, args ...string) string {
		t.Helper()
		r := harness.Command(t, "", append(args, "--config", relay.Config)...)
		if r.Status != wantStatus {
			t.Errorf("%q ended with %d, not %d: %s%s", args, r.Status, wantStatus, r.Stdout, r.Stderr)
		}
		return r.Stdout + r.Stderr
	}
	for _, args := range [][]string{{"reload"}, {"check", "--diff"}} {
		if out := ask(1, args...); !strings.Contains(out, "no relay runs with this data_dir") {
			t.Errorf("%q without a relay: %s", args, out)
		}
	}
	relay.Start(t)
	good := harness.ReadFile(t, relay.Config)
	if out := ask(0, "check", "--diff"); !strings.Contains(out, "is what the relay uses") {
		t.Errorf("nothing changed: %s", out)
	}
	hash := strings.TrimSpace(harness.Command(t, "second-secret\n", "hash-password").Stdout)
	relay.Write(t, good, harness.AddUser("second", hash))
	out := ask(0, "check", "--diff")
	if !strings.Contains(out, "users[second].name: not set -> second") || !strings.Contains(out, "users[second].password_hash: not set -> [redacted]") || strings.Contains(out, hash) {
		t.Errorf("a new user: %s", out)
	}
	if lines := strings.Split(strings.TrimSpace(ask(0, "check", "--diff", "--json")), "\n"); !strings.HasPrefix(lines[0], `{"key":"users[second].`) {
		t.Errorf("as JSON: %s", lines)
	}
	if out := ask(0, "reload"); out != "reloaded\n" {
		t.Errorf("reload: %s", out)
	}
	if answer := relay.SignIn("second", "second-secret"); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("the new user: %s", answer)
	}

	relay.Write(t, good, harness.Replace("hostname:", "hostnam:"))
	for _, args := range [][]string{{"reload"}, {"check", "--diff"}} {
		if out := ask(2, args...); !strings.Contains(out, "hostnam: unknown key") {
			t.Errorf("%q with a broken file: %s", args, out)
		}
	}
	if n := relay.Metric(t, "graphrelay_config_last_reload_successful"); n != 0 {
		t.Errorf("after a broken file: %v", n)
	}
	if answer := relay.SignIn("second", "second-secret"); !strings.HasPrefix(answer, "235 ") {
		t.Errorf("after a broken file: %s", answer)
	}
	ask(2, "check", "--diff", "--online")
	relay.Write(t, good)
	log := ask(0, "queue", "log", "--json")
	if strings.Count(log, `"action":"reload"`) != 2 || strings.Count(log, `"on":"configuration","changed":1`) != 1 || !strings.Contains(log, "(command line)") {
		t.Errorf("the audit log: %s", log)
	}
}

// The socket is for the relay's user alone, is there in a data_dir with a long path, and again
// after the relay was killed.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
	if runtime.GOOS != "linux" {
		long = t.TempDir()
	}
	relay := harness.NewRelay(t, harness.StartSim(t), harness.Replace("data_dir: ./data", "data_dir: "+long))
	for range 2 {
		relay.Start(t)
		if r := harness.Command(t, "", "reload", "--config", relay.Config); r.Status != 0 {
			t.Errorf("reload: %s%s", r.Stdout, r.Stderr)
		}
		st, err := os.Stat(filepath.Join(long, "control"))
		if err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o700 {
			t.Errorf("the folder of the socket: %v, %v", st, err)
		}
		relay.Kill(t)
	}
}
