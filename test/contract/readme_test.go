package contract

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestReadme goes the path of README, by hand as docs/setup.md shows it, from step 4 to step 7
// as it stands: its samples and its commands, with a simulator in the place of Microsoft 365 and
// a free port in the place of 25. TestTerminal in test/setup goes it by graphrelay setup.
func TestReadme(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("README has commands of a Unix shell")
	}
	for _, program := range []string{"cat", "cp"} {
		harness.NeedTool(t, program)
	}
	r := newReadme(t)
	dir := t.TempDir()
	r.shell(t, dir, "(umask 077; cat > contoso.secret)", "simulated\n")
	if info, err := os.Stat(filepath.Join(dir, "contoso.secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file: %v, %v", info.Mode(), err)
	}
	r.shell(t, dir, "cp config.example.yaml relay.yaml", "")
	if hash := r.graphrelay(t, dir, "hash-password", "a-password\n"); !strings.HasPrefix(hash, "$2a$") {
		t.Errorf("hash-password prints %q", hash)
	}
	admin := r.configure(t, dir)
	r.graphrelay(t, dir, "check --online --mailbox scanner@example.com --config relay.yaml", "")

	serve := exec.Command(harness.ProgramPath(t), r.arguments(t, "serve --config relay.yaml")...)
	serve.Dir = dir
	process := harness.StartCommand(t, "serve", serve)
	harness.WaitFor(t, "the relay of README", func() bool {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return !process.Running()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	story := r.graphrelay(t, dir, "send-test --to you@example.com --from scanner@example.com --config relay.yaml", "")
	if !strings.Contains(story, "found in Sent Items of scanner@example.com") {
		t.Errorf("the story is\n%s", story)
	}
	sends := 1
	if _, err := exec.LookPath("swaks"); err == nil {
		sends++
		r.shell(t, dir, "swaks --server 127.0.0.1:25 --from scanner@example.com --to you@example.com", "")
	}
	harness.WaitFor(t, "what README sends", func() bool { return r.sim.Sends(t) == sends })
	r.graphrelay(t, dir, "queue list --config relay.yaml", "")
}

// readme is the text of docs/setup.md and README, and what stands for Microsoft 365 and port 25.
type readme struct {
	text string
	sim  *harness.Sim
	port string
}

func newReadme(t *testing.T) readme {
	t.Helper()
	text := harness.ReadFile(t, "../../docs/setup.md") + harness.ReadFile(t, "../../README.md")
	return readme{strings.ReplaceAll(text, "\r\n", "\n"), harness.StartSim(t), fmt.Sprint(harness.FreePort(t))}
}

// has fails the test unless README has a line with the command.
func (r readme) has(t *testing.T, command string) {
	t.Helper()
	if !strings.Contains(r.text, " "+command) && !strings.Contains(r.text, "`"+command) {
		t.Fatalf("README does not have %q", command)
	}
}

// shell runs a command of README.
func (r readme) shell(t *testing.T, dir, command, stdin string) {
	t.Helper()
	r.has(t, command)
	if example, err := filepath.Abs("../../config.example.yaml"); err == nil {
		command = strings.ReplaceAll(command, "config.example.yaml", example)
	}
	c := exec.Command("sh", "-c", strings.ReplaceAll(command, ":25 ", ":"+r.port+" "))
	c.Dir, c.Stdin = dir, strings.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// arguments returns those of a command of README.
func (r readme) arguments(t *testing.T, command string) []string {
	t.Helper()
	r.has(t, "./graphrelay "+command)
	return strings.Fields(command)
}

// graphrelay runs a command of README and returns what it prints.
func (r readme) graphrelay(t *testing.T, dir, command, stdin string) string {
	t.Helper()
	c := exec.Command(harness.ProgramPath(t), r.arguments(t, command)...)
	c.Dir, c.Stdin = dir, strings.NewReader(stdin)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("graphrelay %s: %v\n%s", command, err, out)
	}
	return string(out)
}

// configure changes relay.yaml as README says, and beyond it has the simulator in the place of
// Microsoft 365 and free ports. It returns the admin address.
func (r readme) configure(t *testing.T, dir string) (admin string) {
	t.Helper()
	path := filepath.Join(dir, "relay.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const indent = "\n   " // within a list
	_, sample, found := strings.Cut(r.text, indent+"```yaml"+indent+"listeners:"+indent)
	sample, _, ended := strings.Cut(sample, indent+"```")
	if !found || !ended {
		t.Fatal("docs/setup.md shows no listener")
	}
	sample = "\nlisteners:\n" + strings.ReplaceAll(sample, indent, "\n") + "\n"
	admin = net.JoinHostPort("127.0.0.1", fmt.Sprint(harness.FreePort(t)))
	text := regexp.MustCompile(`(?s)\nlisteners:\n.*?    address: 127\.0\.0\.1:2525\n`).ReplaceAllLiteralString(string(data), strings.ReplaceAll(sample, ":25\n", ":"+r.port+"\n"))
	for _, edit := range [][2]string{
		{"contoso.test", "example.com"},
		{"11111111-1111-1111-1111-111111111111", "8f1d9a54-0c0e-4e0b-9a3c-5b1f3f0c2a11"},
		{"22222222-2222-2222-2222-222222222222", "3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22"},
		{"client_secret: change-me", "client_secret_file: contoso.secret\n    endpoints: {login: " + r.sim.URL + ", graph: " + r.sim.URL + "}"},
		{"    #directory: auto", "    directory: off"},
		{"  #address: 127.0.0.1:9025", "  address: " + admin},
	} {
		if !strings.Contains(text, edit[0]) {
			t.Fatalf("config.example.yaml does not have %q", edit[0])
		}
		text = strings.ReplaceAll(text, edit[0], edit[1])
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return admin
}
