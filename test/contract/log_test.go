package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// logEntries returns the entries of a log with this message.
func logEntries(t *testing.T, log, msg string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) == nil && e["msg"] == msg {
			found = append(found, e)
		}
	}
	return found
}

// logged waits for the first entry with this message in a file.
func logged(t *testing.T, path, msg string) (e map[string]any) {
	t.Helper()
	harness.WaitFor(t, path+" to say: "+msg, func() bool {
		data, err := os.ReadFile(path)
		found := logEntries(t, string(data), msg)
		if err == nil && len(found) > 0 {
			e = found[0]
		}
		return e != nil
	})
	return e
}

// TestStartLine reads what a relay says first.
func TestStartLine(t *testing.T) {
	t.Parallel()
	relay := harness.StartRelay(t, harness.StartSim(t))
	relay.Stop(t)
	found := logEntries(t, relay.Log.String(), "graphrelay starts")
	if len(found) != 1 {
		t.Fatalf("%d entries", len(found))
	}
	for key, want := range map[string]string{
		"version": "", "commit": "", "go": runtime.Version(), "queue": "sqlite", "node": "", "data_dir": filepath.Join(relay.Dir, "data"),
		"listeners": "devices at " + relay.Address["devices"] + ", tls none, auth none", "connections": "contoso for contoso.test", "mailboxes": "@contoso.test",
		"admin": relay.Address["admin"],
	} {
		got, err := json.Marshal(found[0][key])
		if err != nil || found[0][key] == nil || !strings.Contains(string(got), want) {
			t.Errorf("%s is %s, want %q", key, got, want)
		}
	}
}

// TestLogFile has the log in a file, which a program like logrotate renames.
func TestLogFile(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	logging := harness.Replace("\ndelivery:\n", "\nlog:\n  file: logs/relay.log\n\ndelivery:\n")
	relay := harness.StartRelay(t, sim, logging)
	path := filepath.Join(relay.Dir, "logs", "relay.log")
	one := harness.TenKilobytes("log")(1)
	relay.SendOne(t, one)
	if e := logged(t, path, "sent"); e["message_id"] == nil || !strings.Contains(fmt.Sprint(e["to"]), one.To[0]) {
		t.Errorf("sent: %v", e)
	}
	logged(t, path, "graphrelay starts")
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if text := relay.Log.String(); text != "" {
		t.Errorf("standard error: %s", text)
	}

	t.Run("two relays", func(t *testing.T) {
		other := harness.NewRelay(t, sim, harness.Replace("\ndelivery:\n", "\nlog:\n  file: "+path+"\n\ndelivery:\n"))
		r := harness.Command(t, "", "serve", "--config", other.Config)
		if r.Status != 1 || !strings.Contains(r.Stderr, "another process writes this log file") {
			t.Errorf("status %d: %s", r.Status, r.Stderr)
		}
	})
	good := harness.ReadFile(t, relay.Config)
	reload := func(want int) {
		t.Helper()
		if r := harness.Command(t, "", "reload", "--config", relay.Config); r.Status != want {
			t.Errorf("reload: %d %s%s", r.Status, r.Stdout, r.Stderr)
		}
	}
	if runtime.GOOS != "windows" { // it renames no open file
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		relay.Write(t, good, harness.Replace("hostname:", "hostnam:"))
		reload(2)
		logged(t, path, "cannot reload the configuration; the previous one stays in use")
		if err := os.Rename(path, path+".2"); err != nil {
			t.Fatal(err)
		}
	}
	relay.Write(t, good)
	reload(0)
	logged(t, path, "configuration reloaded")

	moved := filepath.Join(relay.Dir, "moved.log")
	relay.Write(t, good, harness.Replace("file: logs/relay.log", "{file: moved.log, recipients: false}"), harness.Replace("log:\n  {", "log: {"))
	reload(0)
	relay.SendOne(t, harness.TenKilobytes("log")(2))
	if e := logged(t, moved, "sent"); e["message_id"] != nil || e["to"] != nil || e["recipients"] != 1.0 {
		t.Errorf("sent without recipients: %v", e)
	}
	relay.Write(t, good, harness.Replace("file: logs/relay.log", "file: data"))
	reload(2)
	logged(t, moved, "cannot reload the configuration; the previous one stays in use")
	relay.Write(t, good, harness.Replace("file: logs/relay.log", "level: info"))
	reload(0)
	if len(logEntries(t, relay.Log.String(), "configuration reloaded")) != 1 {
		t.Errorf("without a file: %s", relay.Log.String())
	}
}
