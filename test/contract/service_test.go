package contract

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/test/harness"
)

const serviceUnit = "../../deploy/graphrelay.service"

// TestServiceUnit has systemd check the unit: it must know every setting, and its
// exposure score must be low. 10.0 is the highest score, and a unit without any
// restriction has 9.6.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	analyze := harness.NeedTool(t, "systemd-analyze")
	// The program that the unit starts has to be where the unit says.
	unit := strings.ReplaceAll(harness.ReadFile(t, serviceUnit), "/usr/local/bin/graphrelay", harness.ProgramPath(t))
	path := filepath.Join(t.TempDir(), "graphrelay.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := harness.Tool(t, "", analyze, "verify", "--man=no", path); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	harness.Tool(t, "", analyze, "security", "--no-pager", "--offline=true", "--threshold=20", path)
}

// TestNoShellOuts checks that the relay starts no programs.
func TestNoShellOuts(t *testing.T) {
	t.Parallel()
	imports := harness.Tool(t, "", harness.NeedTool(t, "go"), "list", "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "graphrelay/cmd/graphrelay")
	if !strings.Contains(imports, "graphrelay/relay/smtpd ") {
		t.Fatalf("go list prints %s", harness.Tail(imports))
	}
	for line := range strings.Lines(imports) {
		if !strings.HasPrefix(line, "graphrelay/") {
			continue
		}
		if words := strings.Fields(line); slices.Contains(words, "os/exec") || slices.Contains(words, "plugin") {
			t.Errorf("%s can start programs", words[0])
		}
	}
}

// TestNotify listens in systemd's place. The relay must notify it when it accepts mail,
// and of each reload and of the stop.
func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(harness.Guard)); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		got := make([]byte, 200)
		n, err := l.Read(got)
		if err != nil || string(got[:n]) != want {
			t.Fatalf("systemd is told %q, %v; want %q", got[:n], err, want)
		}
	}
	relay := harness.NewRelay(t, harness.StartSim(t))
	t.Setenv("NOTIFY_SOCKET", socket)
	relay.Begin(t)
	expect("READY=1")
	d, err := relay.Dial("devices")
	if err != nil {
		t.Fatalf("ready, but: %v", err)
	}
	_ = d.Close()
	good := harness.ReadFile(t, relay.Config)
	for _, text := range []string{good, "broken"} {
		relay.Write(t, text)
		relay.Signal(syscall.SIGHUP)
		expect("RELOADING=1")
		expect("READY=1")
	}
	relay.Signal(syscall.SIGTERM)
	expect("STOPPING=1")
	if !relay.Ends() || relay.Status() != 0 {
		t.Errorf("serve ended with status %d", relay.Status())
	}

	// The relay serves even if the socket is not there.
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	relay.Write(t, good)
	relay.Start(t)
	relay.Stop(t)
}
