package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

// outcome is what a command left behind.
type outcome struct {
	status         int
	stdout, stderr string
}

// execute runs a command line in this process.
func execute(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr strings.Builder
	status := run(env{strings.NewReader(stdin), &stdout, &stderr}, args)
	return outcome{status, stdout.String(), stderr.String()}
}

// want compares the status, and looks for pieces of what was printed. Errors go to
// standard error alone.
func (o outcome) want(t *testing.T, status int, pieces ...string) {
	t.Helper()
	printed := o.stdout
	if status != exitOK {
		printed = o.stderr
	}
	missing := slices.DeleteFunc(slices.Clone(pieces), func(p string) bool { return strings.Contains(printed, p) })
	if o.status != status || len(missing) > 0 || printed == "" {
		t.Errorf("status %d, want %d; missing %q in\n%s%s", o.status, status, missing, o.stdout, o.stderr)
	}
}

// wantUsage wants a wrong command line to be one line on standard error.
func (o outcome) wantUsage(t *testing.T, pieces ...string) {
	t.Helper()
	o.want(t, exitBadUsage, pieces...)
	if o.stdout != "" || strings.Count(o.stderr, "\n") != 1 {
		t.Errorf("printed %q and %q, want one line of errors", o.stdout, o.stderr)
	}
}

// testConfig is all that a relay for one domain needs.
const testConfig = `hostname: relay.contoso.test
data_dir: ./data
listeners:
  - {name: devices, address: "127.0.0.1:0", auth: none, networks: [127.0.0.0/8]}
connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    domains: [contoso.test]
`

// writeConfig returns the path of a configuration file, for which old is replaced by
// new in testConfig.
func writeConfig(t *testing.T, old, new string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relay.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(testConfig, old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fillQueue returns a configuration whose queue holds a message, and its queue ID.
func fillQueue(t *testing.T) (config, id string) {
	t.Helper()
	config = writeConfig(t, "", "")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(filepath.Dir(config), "data"), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	w, err := store.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: waiting\r\n\r\ntext\r\n")); err != nil {
		t.Fatal(err)
	}
	err = w.Commit(t.Context(), queue.Entry{
		Envelope: queue.Envelope{From: "crm@contoso.test", To: []string{"anna@example.com", "bernd@example.com"}},
		Lane:     queue.Lane{Connection: "contoso", Mailbox: "crm@contoso.test"},
		From:     "crm@contoso.test", Subject: "waiting \x1b[2J", Listener: "devices", Client: "192.0.2.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return config, w.ID()
}

func TestUsage(t *testing.T) {
	for _, word := range []string{"help", "-h", "--help"} {
		got := execute(t, "", word)
		for _, c := range commands() {
			got.want(t, exitOK, "graphrelay "+c.name+" ", c.summary)
		}
	}
	execute(t, "").want(t, exitBadUsage, "Usage:")
	execute(t, "", "nonsense").wantUsage(t, `unknown command "nonsense"`, "graphrelay help")
}

// Each command explains its flags, and refuses those that it does not have.
func TestFlags(t *testing.T) {
	for _, c := range commands() {
		execute(t, "", c.name, "-h").want(t, exitOK, "Usage of graphrelay "+c.name)
		execute(t, "", c.name, "--nonsense").wantUsage(t, "graphrelay "+c.name+": ", "-nonsense")
	}
}

// Flags may stand before, between and behind the operands.
func TestParse(t *testing.T) {
	for _, line := range []string{"--json one two", "one --json two", "one two --json"} {
		fs := flags(env{}, "test")
		asJSON := fs.Bool("json", false, "")
		operands, status, ok := parse(env{}, fs, strings.Fields(line))
		if !ok || status != exitOK || !*asJSON || !slices.Equal(operands, []string{"one", "two"}) {
			t.Errorf("%s: %q, %v, status %d", line, operands, *asJSON, status)
		}
	}
}

// A command without operands names the first that it was given.
func TestNoOperands(t *testing.T) {
	for _, name := range []string{"demo", "serve", "check", "simulate", "hash-password", "version"} {
		execute(t, "", name, "surplus").wantUsage(t, "graphrelay "+name+": ", `unexpected "surplus"`)
	}
}

// Without a configuration a command names the flag; with a broken one, file and line of
// each fault.
func TestConfigurationFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	broken := writeConfig(t, "data_dir:", "data_dirs:")
	for _, args := range [][]string{{"serve"}, {"check"}, {"connect", "--list"}, {"queue", "list"}} {
		execute(t, "", args...).wantUsage(t, "--config FILE")
		execute(t, "", append(args, "--config", missing)...).wantUsage(t, missing)
		execute(t, "", append(args, "--config", broken)...).want(t, exitBadUsage, "relay.yaml:2", "data_dirs")
	}
}
