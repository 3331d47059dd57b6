package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/probe"
)

// probeTenant starts a simulated tenant and returns the path of a configuration for it.
func probeTenant(t *testing.T, o simulator.Options) string {
	t.Helper()
	o.Apps = []simulator.App{{Roles: []string{"Mail.ReadWrite", "Mail.Send", "User.Read.All"}}}
	o.Deliver, o.MessageFlags = true, true
	sim := simulator.New(o)
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		sim.Close()
	})
	return writeConfig(t, "    domains: [contoso.test]\n", "    domains: [contoso.test]\n    endpoints: {login: \""+server.URL+"\", graph: \""+server.URL+"\"}\n")
}

func TestProbe(t *testing.T) {
	t.Parallel()
	config := probeTenant(t, simulator.Options{})
	got := execute(t, "", "probe", "--config", config, "--mailbox", "anna@contoso.test", "--wait", "2s")
	got.want(t, exitOK, " 1 ok ", " 9 ok ", "15 skipped", "20 ok ")
	if n := strings.Count(got.stdout, "\n"); n != 20 {
		t.Errorf("%d lines, want one for each step", n)
	}
}

// The JSON alone is printed, and the simulator can be started with it.
func TestProbeJSON(t *testing.T) {
	t.Parallel()
	config := probeTenant(t, simulator.Options{World: simulator.World{NoPermanentDelete: true, DeleteTo: simulator.DeleteToRecoverable}})
	got := execute(t, "", "probe", "--config", config, "--mailbox", "anna@contoso.test", "--wait", "2s", "--json")
	var file probe.File
	if err := json.Unmarshal([]byte(got.stdout), &file); err != nil || len(file.Steps) != 20 {
		t.Fatalf("%v in %s", err, got.stdout)
	}
	got.want(t, probe.ExitDiffers, "could not remove", "Recoverable Items")
	path := filepath.Join(t.TempDir(), "tenant.json")
	if err := os.WriteFile(path, []byte(got.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	var o simulator.Options
	if err := simulateAs(env{stderr: &strings.Builder{}}, &o, path, []string{"filterLag=4s"}); err != nil {
		t.Fatal(err)
	}
	if !o.World.NoPermanentDelete || o.World.DeleteTo != simulator.DeleteToRecoverable || o.World.FilterLag == 0 || !o.Deliver {
		t.Errorf("the world is %+v", o.World)
	}
}

func TestProbeKeeps(t *testing.T) {
	t.Parallel()
	config := probeTenant(t, simulator.Options{})
	got := execute(t, "", "probe", "--config", config, "--mailbox", "anna@contoso.test", "--wait", "2s", "--keep")
	if got.status != exitOK || !strings.Contains(got.stderr, "kept all that has ") {
		t.Errorf("status %d: %s", got.status, got.stderr)
	}
}

func TestProbeUsage(t *testing.T) {
	config := writeConfig(t, "", "")
	execute(t, "", "probe", "--config", config).wantUsage(t, "mailbox")
	execute(t, "", "probe", "--config", config, "--mailbox", "anna").wantUsage(t, "no connection has the domain")
	execute(t, "", "probe", "--config", config, "--mailbox", "a@fabrikam.test").wantUsage(t, "--connection")
	execute(t, "", "probe", "--config", config, "--mailbox", "anna@contoso.test", "--connection", "other").wantUsage(t, `no connection is named "other"`)
	execute(t, "", "probe", "--config", config, "--mailbox", "anna@contoso.test", "--to", "b").wantUsage(t, "--to")
	execute(t, "", "probe", "--config", config, "--mailbox", "anna@contoso.test", "--wait", "0s").wantUsage(t, "--wait")
}

func TestSimulateAsFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenant.json")
	if err := os.WriteFile(path, []byte(`{"probe_file":1,"facts":{"filter_ignored":"yes"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, "", "simulate", "--as", path).want(t, exitBadUsage, "filter_ignored: is yes, not true or false")
	execute(t, "", "simulate", "--as", path+"x").want(t, exitBadUsage, "tenant.jsonx")
	execute(t, "", "simulate", "--alias", "a").wantUsage(t, "colon")
	if err := os.WriteFile(path, []byte(`{"probe_file":1,"facts":{"new_fact":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	if err := simulateAs(env{stderr: &stderr}, &simulator.Options{}, path, nil); err != nil || !strings.Contains(stderr.String(), "new_fact is not known") {
		t.Errorf("%v, %s", err, stderr.String())
	}
}
