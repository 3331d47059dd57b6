package docs_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// walk works through a page: a folder with the program and relay.yaml, and a simulator in the
// place of Microsoft 365.
type walk struct {
	t       *testing.T
	dir     string
	env     []string
	address map[string]string
	replace *strings.Replacer // puts free ports into commands
}

func newWalk(t *testing.T, page string) *walk {
	t.Helper()
	w := &walk{t: t, dir: t.TempDir(), address: map[string]string{}}
	for _, name := range []string{"devices", "submission", "admin", "simulator"} {
		w.address[name] = net.JoinHostPort("127.0.0.1", strconv.Itoa(harness.FreePort(t)))
	}
	_, submission, _ := net.SplitHostPort(w.address["submission"])
	w.replace = strings.NewReplacer("127.0.0.1:2525", w.address["devices"], "relay.example.com:587", "localhost:"+submission,
		"127.0.0.1:8100", w.address["simulator"], "/var/lib/graphrelay/control/socket", "data/control/socket")
	if err := os.Symlink(harness.ProgramPath(t), filepath.Join(w.dir, "graphrelay")); err != nil {
		t.Fatal(err)
	}
	harness.WriteCertificate(t, w.dir)
	w.env = append(os.Environ(), "PATH="+w.dir+string(os.PathListSeparator)+os.Getenv("PATH"), "SIMULATOR="+w.address["simulator"],
		"GRAPHRELAY_CONFIG="+w.path("relay.yaml"), "CURL_CA_BUNDLE="+w.path("relay.crt"))
	sim := harness.ServeSim(t, simulator.Options{Mailboxes: []string{"contoso.com", "example.com"}, Deliver: true})
	if page != "docs/setup.md" { // which makes it
		w.write("relay.yaml", w.configuration(sim.URL))
	}
	w.write("contoso.secret", "simulated\n")
	w.write("mail.eml", "From: crm@example.com\nTo: anna@example.org\nSubject: by curl\n\nhello\n")
	w.write("tenant.json", harness.ReadFile(t, filepath.Join(root, "relay/probe/testdata/simulator.json")))
	if page == "docs/api.md" || page == "docs/clients.md" || page == "docs/operations.md" {
		w.serve("graphrelay serve", "admin")
	}
	return w
}

// configuration is that of the relay which the pages speak of.
func (w *walk) configuration(sim string) string {
	return w.replace.Replace(`
listeners:
  - {name: devices, address: 127.0.0.1:2525, auth: none, networks: [127.0.0.1]}
  - {name: submission, address: "` + w.address["submission"] + `", tls: starttls, auth: required}
tls: {cert_file: relay.crt, key_file: relay.key}
users:
  - name: crm
    password_hash: ` + strings.TrimSpace(harness.Command(w.t, "crm-secret\n", "hash-password").Stdout) + `
    senders: ["*@example.com"]
connections:
  - name: contoso
    tenant: 8f1d9a54-0c0e-4e0b-9a3c-5b1f3f0c2a11
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
    client_secret_file: contoso.secret
    directory: off
    domains: [example.com, contoso.com]
    endpoints: {login: "` + sim + `", graph: "` + sim + `"}
admin: {address: "` + w.address["admin"] + `"}
`)
}

func (w *walk) path(name string) string { return filepath.Join(w.dir, name) }

func (w *walk) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// bash returns a command of the shell in the folder.
func (w *walk) bash(command string) *exec.Cmd {
	c := exec.Command("bash", "-e", "-c", command)
	c.Dir, c.Env = w.dir, w.env
	return c
}

// shell runs a command, wants the exit status, and returns what was printed.
func (w *walk) shell(command string, status int) string {
	w.t.Helper()
	out, err := w.bash(command).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%s: %v", command, err)
	}
	if got := exit; (got == nil) != (status == 0) || got != nil && got.ExitCode() != status {
		w.t.Fatalf("%s: %v, want status %d\n%s", command, err, status, harness.Tail(string(out)))
	}
	return string(out)
}

// serve starts a server and waits until it takes connections at the address of that name.
func (w *walk) serve(command, name string) {
	w.t.Helper()
	p := harness.StartCommand(w.t, name, w.bash("exec "+command))
	harness.WaitFor(w.t, command, func() bool {
		if !p.Running() {
			w.t.Fatalf("%s ended with status %d\n%s", command, p.Status(), p.Log.String())
		}
		c, err := net.Dial("tcp", w.address[name])
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// checkPrivate checks that others cannot read the keys that the commands have made.
func (w *walk) checkPrivate() {
	w.t.Helper()
	keys, err := filepath.Glob(w.path("*.key"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		if info, err := os.Stat(key); err != nil || info.Mode()&0o004 != 0 {
			w.t.Errorf("%s has mode %o", filepath.Base(key), info.Mode())
		}
	}
}
