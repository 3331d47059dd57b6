package windows

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// service installs the MSI, has the service take mail, upgrades it, and removes it. What is under
// ProgramData stays.
func (w *wine) service(t *testing.T) {
	if got := w.run(t, "service", "status"); got.Status != 1 || !strings.Contains(got.Stderr, "not installed") {
		t.Errorf("before: %+v", got)
	}
	msi := func(version string) string {
		path := filepath.Join(w.dir, version+".msi")
		harness.Tool(t, "", "../../deploy/windows/build", w.program, version, path)
		return path
	}
	first := msi("v1.2.3-4-gabcdef")
	w.tool(t, "wine", "msiexec", "/i", first, "/qn")
	installed := filepath.Join(w.prefix, "drive_c/Program Files/graphrelay/graphrelay.exe")
	if _, err := os.Stat(installed); err != nil {
		t.Fatal(err)
	}
	if got := w.run(t, "service", "status"); got.Status != 1 || !strings.Contains(got.Stdout, "stopped") ||
		!strings.Contains(got.Stdout, `NT SERVICE\graphrelay`) || !strings.Contains(got.Stdout, `"C:\Program Files\graphrelay\graphrelay.exe" serve --service --config C:\ProgramData\graphrelay\relay.yaml`) {
		t.Errorf("installed: %+v", got)
	}
	if path := w.tool(t, "wine", "reg", "query", `HKLM\System\CurrentControlSet\Control\Session Manager\Environment`, "/v", "PATH"); !strings.Contains(path, `C:\Program Files\graphrelay`) {
		t.Errorf("not in the path: %s", path)
	}

	sim := harness.ServeSim(t, simulator.Options{Mailboxes: []string{"contoso.test"}, DeviceInterval: time.Second, Deliver: true})
	r := harness.NewRelay(t, sim) // for its clients
	home := filepath.Join(w.prefix, "drive_c/ProgramData/graphrelay")
	w.setUp(t, sim, r.Address["devices"])
	file := filepath.Join(home, "relay.yaml")
	if err := os.WriteFile(file, []byte(harness.ReadFile(t, file)+"\nadmin: {address: "+r.Address["admin"]+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("the log:\n%s", harness.Tail(logOf(home)))
		}
	}()
	if got := w.run(t, "service", "start"); got.Status != 0 || got.Stdout != "running\n" {
		t.Fatalf("start: %+v", got)
	}
	send(t, r, sim, "by the service")
	if got := w.run(t, "reload"); got.Status != 0 || got.Stdout != "reloaded\n" {
		t.Errorf("reload: %+v", got)
	}
	if got := w.run(t, "service", "restart"); got.Status != 0 {
		t.Errorf("restart: %+v", got)
	}
	send(t, r, sim, "after a restart")

	w.tool(t, "wine", "msiexec", "/i", msi("v1.3.0"), "/qn")
	if got := w.run(t, "service", "status"); got.Status != 0 || !strings.Contains(got.Stdout, "running") {
		t.Errorf("after the upgrade: %+v", got)
	}
	send(t, r, sim, "after the upgrade")
	if got := result(t, w.command("wine", "msiexec", "/i", first, "/qn")); got.Status == 0 {
		t.Error("an older version was installed over a newer one")
	}

	if got := w.run(t, "service", "stop"); got.Status != 0 || got.Stdout != "stopped\n" {
		t.Errorf("stop: %+v", got)
	}
	if d, err := r.Dial("devices"); err == nil {
		_ = d.Close()
		t.Error("the service was stopped, and takes mail")
	}
	for _, want := range []string{"graphrelay starts", `"signal":"stop of the service"`, "configuration reloaded"} {
		if log := logOf(home); !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	w.tool(t, "wine", "msiexec", "/x", filepath.Join(w.dir, "v1.3.0.msi"), "/qn")
	if got := w.run(t, "service", "status"); got.Status != 1 || !strings.Contains(got.Stderr, "not installed") {
		t.Errorf("removed: %+v", got)
	}
	if _, err := os.Stat(installed); err == nil {
		t.Error("the program is still there")
	}
	if _, err := os.Stat(filepath.Join(home, "data", "queue.db")); err != nil {
		t.Errorf("the queue: %v", err)
	}
}

func logOf(home string) string {
	log, err := os.ReadFile(filepath.Join(home, "logs", "relay.log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// send sends a message, and waits until it was delivered.
func send(t *testing.T, r *harness.Relay, sim *harness.Sim, subject string) {
	t.Helper()
	if got := r.SendOne(t, harness.Sample{From: "scanner@contoso.test", To: []string{"anna@example.com"}, Subject: subject, Text: "x"}); !strings.HasPrefix(got, "250 ") {
		t.Fatalf("%s: %s", subject, got)
	}
	sim.Sent(t, "scanner@contoso.test", subject)
}

// setUp has the relay of the service set up by somebody who answers no questions, with the
// simulator in the place of Microsoft 365.
func (w *wine) setUp(t *testing.T, sim *harness.Sim, devices string) {
	t.Helper()
	p := harness.StartCommand(t, "setup", w.command("wine", w.program, "setup", "--mailboxes", "scanner@contoso.test", "--scope", "tenant", "--clients", "devices",
		"--networks", "127.0.0.0/8", "--devices-address", devices, "--login-url", sim.URL, "--graph-url", sim.URL))
	code := regexp.MustCompile(`open\s+(http\S+)\s+and enter the code  (\S+)  `)
	var shown []string
	harness.WaitFor(t, "a code", func() bool {
		if shown = code.FindStringSubmatch(p.Log.String()); shown == nil && !p.Running() {
			t.Fatalf("setup ended with status %d: %s", p.Status(), p.Log.String())
		}
		return shown != nil
	})
	reply, err := http.PostForm(shown[1], url.Values{"user_code": {shown[2]}, "account": {"admin@contoso.test"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if !p.Ends() || p.Status() != 0 || !strings.Contains(p.Log.String(), "graphrelay.exe service start") {
		t.Fatalf("setup: status %d\n%s", p.Status(), p.Log.String())
	}
}
