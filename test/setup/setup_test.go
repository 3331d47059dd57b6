//go:build unix

package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/smtp"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/test/harness"
)

const (
	administrator = "admin@contoso.test"
	scanner       = "scanner@contoso.test"
)

// machine is where a relay is set up: an empty folder.
type machine struct {
	sim    *harness.Sim
	config string
	flags  []string // for the simulator and free ports
	ports  map[string]string
}

func newMachine(t *testing.T, change ...func(o *simulator.Options)) *machine {
	t.Helper()
	m := &machine{config: filepath.Join(t.TempDir(), "relay.yaml"), ports: map[string]string{}}
	o := simulator.Options{Mailboxes: []string{"contoso.test"}, DeviceInterval: time.Second, Deliver: true, MessageFlags: true,
		World: simulator.World{DirectoryLag: 200 * time.Millisecond, KeyLag: 500 * time.Millisecond}}
	for _, f := range change {
		f(&o)
	}
	m.sim = harness.ServeSim(t, o)
	m.flags = []string{"--config", m.config, "--login-url", m.sim.URL, "--graph-url", m.sim.URL}
	for _, name := range []string{"devices", "programs", "admin"} {
		m.ports[name] = fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	}
	m.flags = append(m.flags, "--devices-address", m.ports["devices"], "--programs-address", m.ports["programs"])
	return m
}

// apps returns the applications that are registered and not deleted.
func (m *machine) apps(t *testing.T) []simulator.RegisteredApp {
	t.Helper()
	return slices.DeleteFunc(harness.View[[]simulator.RegisteredApp](t, m.sim, "applications"), func(a simulator.RegisteredApp) bool { return a.Deleted })
}

// terminal is graphrelay setup on a terminal of its own.
type terminal struct {
	t    *testing.T
	file *os.File
	cmd  *exec.Cmd
	shot testlog.Buffer
	from int // what was shown before is not looked for
	done chan error
}

func (m *machine) terminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: exec.Command(harness.ProgramPath(t), append(append([]string{"setup"}, m.flags...), args...)...), done: make(chan error, 1)}
	var err error
	if term.file, err = pty.Start(term.cmd); err != nil {
		harness.SkipUnlessCI(t, "no terminal here: %v", err)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(&term.shot, term.file) // ends with an error when the program ends
	}()
	go func() {
		<-copied
		term.done <- term.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = term.cmd.Process.Kill()
		_ = term.file.Close()
		if t.Failed() {
			t.Logf("the terminal:\n%s", term.shown())
		}
	})
	return term
}

func (s *terminal) shown() string { return strings.ReplaceAll(s.shot.String(), "\r\n", "\n") }

// find waits for a text, and returns what its groups matched.
func (s *terminal) find(pattern string) []string {
	s.t.Helper()
	of := regexp.MustCompile(pattern)
	var found []string
	harness.WaitFor(s.t, pattern, func() bool {
		shown := s.shown()[s.from:]
		at := of.FindStringSubmatchIndex(shown)
		if at == nil {
			return false
		}
		for i := 0; i < len(at); i += 2 {
			found = append(found, shown[at[i]:at[i+1]])
		}
		s.from += at[1]
		return true
	})
	return found
}

// answer types an answer after a question.
func (s *terminal) answer(question, answer string) {
	s.t.Helper()
	s.find(regexp.QuoteMeta(question))
	s.find("> ")
	s.typeLine(answer)
}

func (s *terminal) typeLine(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.file, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// signIn opens the page that is shown and enters the code, as the account.
func (s *terminal) signIn(account string) {
	s.t.Helper()
	code := s.find(`open\n\n\s+(\S+)\n\nand enter the code  (\S+)  `)
	reply, err := http.PostForm(code[1], url.Values{"user_code": {code[2]}, "account": {account}})
	if err != nil {
		s.t.Fatal(err)
	}
	_ = reply.Body.Close()
}

// ends waits for the end and compares the status.
func (s *terminal) ends(status int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(harness.Guard):
		s.t.Fatal("setup does not end")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Fatalf("setup ended with status %d, want %d", got, status)
	}
}

// TestTerminal goes from nothing to a delivered mail, with the rights that Exchange gives.
// Ctrl-C interrupts the set-up on the way.
func TestTerminal(t *testing.T) {
	m := newMachine(t)
	term := m.terminal(t)
	term.answer("What will send", "both")
	term.answer("From which networks", "127.0.0.1, ::1")
	term.answer("Which mailboxes will send", scanner)
	term.answer("Which mailboxes may the application use", "")
	term.signIn(administrator)
	term.find("Press Enter once that is done")
	term.typeInterrupt()
	term.ends(1)

	// The same command goes on, without a sign-in.
	app := m.apps(t)[0]
	term = m.terminal(t)
	term.find("Going on with the set-up")
	term.find("Test-ServicePrincipalAuthorization -Identity '" + app.AppID + "'")
	term.find("Press Enter once that is done")
	m.grant(t, app.AppID)
	term.typeLine("")
	term.find("The rights have arrived")
	term.find(scanner + " ok") // of check --online
	term.answer("Try on this tenant", "no")
	term.answer("Send a test message", "you@contoso.test")
	term.find("graphrelay serve --config")
	term.ends(0)
	if apps := m.apps(t); len(apps) != 1 || len(apps[0].Roles) > 0 {
		t.Errorf("registered: %+v", apps)
	}
	m.sim.Sent(t, scanner, "graphrelay: test message")
	m.deliver(t)
}

// typeInterrupt types Ctrl-C.
func (s *terminal) typeInterrupt() {
	s.t.Helper()
	if _, err := s.file.Write([]byte{3}); err != nil {
		s.t.Fatal(err)
	}
}

// grant does what the commands for Exchange do.
func (m *machine) grant(t *testing.T, client string) {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"appId": client, "roles": []string{"Mail.ReadWrite", "Mail.Send"}, "mailboxes": []string{scanner}})
	reply, err := http.Post(m.sim.URL+"/_simulator/rbac", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if reply.StatusCode >= 300 {
		t.Fatalf("rbac: %s", reply.Status)
	}
}

// deliver starts the relay with the configuration that was written, and sends a message as a
// device and one as a program.
func (m *machine) deliver(t *testing.T) {
	t.Helper()
	text := harness.ReadFile(t, m.config) + "\nadmin:\n  address: " + m.ports["admin"] + "\n"
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &harness.Relay{Config: m.config, Address: m.ports}
	r.Process = harness.StartProcess(t, harness.ProgramPath(t), "serve", "--config", m.config)
	harness.WaitFor(t, "/readyz", func() bool {
		if !r.Running() {
			t.Fatalf("serve ended with status %d:\n%s", r.Status(), r.Log.String())
		}
		status, _ := r.Get("/readyz")
		return status == http.StatusOK
	})
	message := func(subject string) []byte {
		return []byte("From: " + scanner + "\r\nTo: you@contoso.test\r\nSubject: " + subject + "\r\n\r\nhello\r\n")
	}
	if err := smtp.SendMail(m.ports["devices"], nil, scanner, []string{"you@contoso.test"}, message("of a device")); err != nil {
		t.Fatal(err)
	}
	password := strings.TrimSpace(harness.ReadFile(t, strings.TrimSuffix(m.config, ".yaml")+".password"))
	auth := smtp.PlainAuth("", "app", password, "127.0.0.1")
	if err := smtp.SendMail(m.ports["programs"], auth, scanner, []string{"you@contoso.test"}, message("of a program")); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"of a device", "of a program"} {
		m.sim.Sent(t, scanner, subject)
	}
}

// unattended runs a set-up without a terminal, in which the administrator signs in with the
// code that is printed.
func (m *machine) unattended(t *testing.T, args ...string) harness.Result {
	t.Helper()
	p := harness.StartCommand(t, "setup", exec.Command(harness.ProgramPath(t), append(append([]string{"setup"}, m.flags...), args...)...))
	code := regexp.MustCompile(`open\n\n\s+(\S+)\n\nand enter the code  (\S+)  `)
	var shown []string
	harness.WaitFor(t, "a code or the end", func() bool {
		shown = code.FindStringSubmatch(p.Log.String())
		return shown != nil || !p.Running()
	})
	if shown != nil {
		reply, err := http.PostForm(shown[1], url.Values{"user_code": {shown[2]}, "account": {administrator}})
		if err != nil {
			t.Fatal(err)
		}
		_ = reply.Body.Close()
	}
	if !p.Ends() {
		t.Fatal("setup does not end")
	}
	return harness.Result{Stdout: p.Log.String(), Status: p.Status()}
}

// TestUnattended sets up a relay whose application may use the whole tenant, and undoes it.
func TestUnattended(t *testing.T) {
	m := newMachine(t)
	got := m.unattended(t, "--mailboxes", scanner, "--scope", "tenant", "--networks", "127.0.0.1")
	if got.Status != 0 || !strings.Contains(got.Stdout, "EVERY mailbox") {
		t.Fatalf("status %d\n%s", got.Status, got.Stdout)
	}
	m.deliver(t)
	if got = m.unattended(t, "--undo"); got.Status == 0 || len(m.apps(t)) != 1 {
		t.Errorf("undone without a confirmation: %s", got.Stdout)
	}
	if got = m.unattended(t, "--undo", "--yes"); got.Status != 0 || len(m.apps(t)) != 0 {
		t.Errorf("status %d, %d applications left\n%s", got.Status, len(m.apps(t)), got.Stdout)
	}
}

// TestKilled kills the set-up with SIGKILL while it waits for the sign-in.
func TestKilled(t *testing.T) {
	m := newMachine(t)
	p := harness.StartCommand(t, "setup", exec.Command(harness.ProgramPath(t), append([]string{"setup", "--mailboxes", scanner, "--scope", "tenant"}, m.flags...)...))
	harness.WaitFor(t, "a code", func() bool { return strings.Contains(p.Log.String(), "and enter the code") })
	p.Signal(syscall.SIGKILL)
	if !p.Ends() {
		t.Fatal("setup survives SIGKILL")
	}
	if got := m.unattended(t); got.Status != 0 || len(m.apps(t)) != 1 {
		t.Fatalf("status %d, %d applications\n%s", got.Status, len(m.apps(t)), got.Stdout)
	}
}
