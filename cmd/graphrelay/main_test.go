package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

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

// A command ends with a fault if what it prints is lost, as on a full disk.
func TestOutputIsLost(t *testing.T) {
	file, _ := fillQueue(t)
	for _, args := range [][]string{{"help"}, {"queue", "--help"}, {"version"}, {"--version"}, {"check", "--config", file}, {"check", "--json", "--config", file}, {"queue", "list", "--config", file}, {"completion", "bash"}} {
		var stderr strings.Builder
		status := run(env{strings.NewReader(""), fullDisk{}, &stderr}, args)
		if status != exitFault || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%q: %d %s", args, status, stderr.String())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// testConfig is all that a relay for one domain needs.
const testConfig = `hostname: relay.contoso.test
data_dir: ./data
listeners:
  - {name: devices, address: "127.0.0.1:0", auth: none, networks: [127.0.0.0/8]}
connections:
  - name: contoso
    tenant: 8f1d9a54-0c0e-4e0b-9a3c-5b1f3f0c2a11
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
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

// fillQueue returns a configuration whose queue holds messages with these subjects, or one,
// and the queue ID of the first.
func fillQueue(t *testing.T, subjects ...string) (config, first string) {
	t.Helper()
	if len(subjects) == 0 {
		subjects = []string{"waiting \x1b[2J"}
	}
	config = writeConfig(t, "", "")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(filepath.Dir(config), "data"), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, subject := range subjects {
		if id := putMessage(t, store, subject); first == "" {
			first = id
		}
	}
	return config, first
}

func putMessage(t *testing.T, store *queue.Queue, subject string) (id string) {
	t.Helper()
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
		From:     "crm@contoso.test", Subject: subject, Listener: "devices", Client: "192.0.2.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

func TestUsage(t *testing.T) {
	for _, word := range []string{"help", "-h", "--help"} {
		got := execute(t, "", word)
		for _, c := range commands(env{}) {
			got.want(t, exitOK, "  "+c.Name()+" ", c.Short)
		}
	}
	execute(t, "").want(t, exitBadUsage, "Usage:")
	for _, args := range [][]string{{"nonsense"}, {"help", "nonsense"}, {"nonsense", "--config", "x"}} {
		execute(t, "", args...).wantUsage(t, `unknown command "nonsense"; see graphrelay help`+"\n")
	}
}

// everyCommand returns the commands and subcommands of the project, as words.
func everyCommand(of []*cobra.Command) (paths [][]string) {
	for _, c := range of {
		paths = append(paths, strings.Fields(c.CommandPath()))
		paths = append(paths, everyCommand(c.Commands())...)
	}
	return paths
}

// Each command explains itself and its flags with an example that names it, and refuses
// flags that it does not have.
func TestHelp(t *testing.T) {
	tree := newRoot(env{})
	for _, path := range everyCommand(commands(env{})) {
		name := "graphrelay " + strings.Join(path, " ")
		c, _, err := tree.Find(path)
		if err != nil || c.Short == "" || c.Long == "" || !strings.Contains(c.Example, name) {
			t.Errorf("%s lacks a text: %q, %q, %q, %v", name, c.Short, c.Long, c.Example, err)
		}
		want := []string{c.Long, "Usage:\n  " + name, "Examples:\n" + c.Example, "Flags:"}
		execute(t, "", append([]string{"help"}, path...)...).want(t, exitOK, want...)
		execute(t, "", append(path, "-h")...).want(t, exitOK, want...)
		if c.DisableFlagParsing { // it has statuses of its own
			continue
		}
		execute(t, "", append(path, "--nonsense")...).wantUsage(t, name+": ", "unknown flag: --nonsense", "see graphrelay help "+strings.Join(path, " ")+"\n")
	}
}

// A value that a flag cannot have is said in words, and nothing of a command line reaches the
// terminal as control characters.
func TestFlagFaults(t *testing.T) {
	execute(t, "", "queue", "list", "--limit", "1.5").wantUsage(t, `--limit has the value "1.5"; write a whole number; see`)
	execute(t, "", "queue", "list", "--json=maybe").wantUsage(t, `--json has the value "maybe"; write true or false; see`)
	execute(t, "", "queue", "list", "--since", "then").wantUsage(t, `--since has the value "then"; write how long ago`)
	execute(t, "", "help", "check", "extra").wantUsage(t, `unexpected "extra": graphrelay check has no actions; see graphrelay help`)
	execute(t, "", "check", "--x\x1b[31m\ny").wantUsage(t, "--x [31m y")
	var stderr strings.Builder
	fault(env{stderr: &stderr}, errors.Join(errors.New("one\x1b[2J"), errors.New("two")))
	if got := stderr.String(); got != "graphrelay: one [2J two\n" {
		t.Errorf("printed %q", got)
	}
}

// Whoever mistypes a command or flag is shown the right one.
func TestSuggestions(t *testing.T) {
	for line, want := range map[string]string{
		"srve":              `unknown command "srve" (did you mean serve?)`,
		"ser":               "(did you mean serve or service?)",
		"queue relase":      `unknown action "relase" (did you mean release?); choose from list, show, `,
		"help queue relase": "(did you mean release?)",
		"serve --confg x":   "unknown flag: --confg (did you mean --config?)",
		"queue list -stat":  "(did you mean --state?)",
		"queue --jsn list":  "(did you mean --json?)",
		"check --onlin":     "(did you mean --online?)",
		"simulate --world3": "(did you mean --world?)",
	} {
		execute(t, "", strings.Fields(line)...).wantUsage(t, want)
	}
}

// Flags may stand anywhere, and long ones have one dash or two.
func TestArrange(t *testing.T) {
	for line, want := range map[string]string{
		"check --config x":                 "check --config x",
		"check -config x -online":          "check --config x --online",
		"check -config=-online":            "check --config=-online",
		"-config x check":                  "check --config x",
		"check -h":                         "check -h",
		"queue -config list list":          "queue list --config list",
		"queue --json hold 1 -config x 2":  "queue hold --json 1 --config x 2",
		"queue --state held list -json":    "queue list --state held --json",
		"queue pause -for -1h lane":        "queue pause --for -1h lane",
		"queue pause -- -for":              "queue pause -- -for",
		"queue hold -":                     "queue hold -",
		"help queue list":                  "help queue list",
		"completion bash -no-descriptions": "completion bash --no-descriptions",
		"__complete queue -st":             "__complete queue -st",
	} {
		got, _, err := arrange(newRoot(env{}), strings.Fields(line))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s is read as %q, %v; want %s", line, got, err, want)
		}
	}
}

// A completion script asks the program for what fits.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		execute(t, "", "completion", shell).want(t, exitOK, "__complete")
	}
	execute(t, "", "completion", "tcsh").wantUsage(t, "tcsh")
	execute(t, "", "__complete", "queue", "re").want(t, exitOK, "release\t", "retry\t", "resume\t")
	execute(t, "", "__complete", "help", "queue", "").want(t, exitOK, "list\t")
}

// A command without operands names the first that it was given.
func TestNoOperands(t *testing.T) {
	for _, name := range []string{"demo", "serve", "check", "simulate", "hash-password", "version", "queue list", "queue lanes"} {
		execute(t, "", append(strings.Fields(name), "surplus")...).wantUsage(t, "graphrelay "+name+": ", `unexpected "surplus"`)
	}
}

// The configuration is the one of the flag, of the environment, or of the system.
func TestFindConfig(t *testing.T) {
	path := writeConfig(t, "", "")
	t.Setenv(configVariable, path)
	execute(t, "", "check").want(t, exitOK, path+" is good")
	other := writeConfig(t, "", "")
	execute(t, "", "check", "-config", other).want(t, exitOK, other+" is good")
	t.Setenv(configVariable, "")
	t.Setenv("ProgramData", t.TempDir())
	if _, err := os.Stat(systemConfig()); err == nil {
		t.Skipf("%s is there", systemConfig())
	}
	execute(t, "", "check").want(t, exitBadUsage, "no configuration in "+systemConfig(), "$"+configVariable)
}

// Without a configuration a command names the flag; with a broken one, file and line of
// each fault.
func TestConfigurationFaults(t *testing.T) {
	t.Setenv(configVariable, "")
	t.Setenv("ProgramData", t.TempDir())
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	broken := writeConfig(t, "data_dir:", "data_dirs:")
	for _, args := range [][]string{{"serve"}, {"check"}, {"connect", "--list"}, {"queue", "list"}} {
		if _, err := os.Stat(systemConfig()); err != nil {
			execute(t, "", args...).wantUsage(t, "--config FILE")
		}
		execute(t, "", append(args, "--config", "")...).wantUsage(t, `--config has the value ""; name a file, or leave the flag out`)
		execute(t, "", append(args, "--config", missing)...).wantUsage(t, missing)
		execute(t, "", append(args, "--config", broken)...).want(t, exitBadUsage, "relay.yaml:2", "data_dirs")
	}
}
