// Package main_test runs the real program: a relay and a simulator as processes
// of their own, with mail clients that are not ours. What is missing on a
// developer's machine is skipped; with CI set it fails.
package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// guard ends a test that hangs. Nothing is expected to take that long.
const guard = 4 * time.Minute

// atOnce is how many tests run at a time, at least.
const atOnce = 5

// workDir holds what all tests share. TestMain removes it.
var workDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "graphrelay-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	workDir = dir
	flag.Parse()
	if runtime.GOMAXPROCS(0) < atOnce { // they wait for processes most of the time
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
			panic(err)
		}
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// program is the binary under test, with the race detector if this test has it.
var program = sync.OnceValues(func() (string, error) { return buildProgram("graphrelay", raceEnabled) })

// plainProgram is the binary as it is released.
var plainProgram = sync.OnceValues(func() (string, error) { return buildProgram("graphrelay-plain", false) })

func buildProgram(name string, race bool) (string, error) {
	path := filepath.Join(workDir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if race {
		// SQLite, which is C made Go, is slow with the race detector: it goes without, as in the Makefile.
		cmd.Args = []string{"go", "build", "-race", "-gcflags=modernc.org/sqlite/lib=-race=false",
			"-gcflags=modernc.org/libc=-race=false", "-o", path, "."}
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

func programPath(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inCI tells that nothing may be skipped.
func inCI() bool { return os.Getenv("CI") != "" }

// skipUnlessCI skips the test where something is missing, and fails it in CI.
func skipUnlessCI(t *testing.T, format string, args ...any) {
	t.Helper()
	if inCI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// needTool returns the path of a program that the test cannot do without.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		skipUnlessCI(t, "%s is not installed; .ci/install installs it", name)
	}
	return path
}

// waitFor polls until done says so.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}

// result is how a command that came to its end went.
type result struct {
	stdout, stderr string
	status         int
}

// command runs the program under test to its end.
func command(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.Command(programPath(t), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	checkLog(t, "graphrelay "+strings.Join(args, " "), stderr.String())
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// commandOutput runs a program that may fail.
func commandOutput(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// tool runs somebody else's program and returns what it printed.
func tool(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	return toolEnv(t, nil, stdin, name, args...)
}

// toolEnv is tool with more in its environment.
func toolEnv(t *testing.T, env []string, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, tail(string(out)))
	}
	return string(out)
}

// process is a server that the test started.
type process struct {
	name string
	cmd  *exec.Cmd
	log  safeBuffer
	done chan struct{} // closed when it has ended
}

// startProcess starts the program; the test's end stops it and looks at its log.
func startProcess(t *testing.T, path string, args ...string) *process {
	t.Helper()
	return startCommand(t, args[0], exec.Command(path, args...))
}

// startCommand is startProcess for any program; name is for the test's output.
func startCommand(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	return launchCommand(t, (*exec.Cmd).Start, name, cmd)
}

// launchCommand is startCommand by another start than exec's.
func launchCommand(t *testing.T, start func(*exec.Cmd) error, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := start(p.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGTERM)
		if !p.ends() {
			t.Errorf("%s does not stop", p.name)
			p.signal(syscall.SIGKILL)
			<-p.done
		}
		checkLog(t, p.name, p.log.String())
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, tail(p.log.String()))
		}
	})
	return p
}

func (p *process) signal(s os.Signal) {
	if p.running() {
		_ = p.cmd.Process.Signal(s)
	}
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ends waits for the end of the process.
func (p *process) ends() bool {
	select {
	case <-p.done:
		return true
	case <-time.After(guard):
		return false
	}
}

// status is the exit status of a process that has ended; -1 after a signal.
func (p *process) status() int { return p.cmd.ProcessState.ExitCode() }

// checkLog finds what no test may overlook.
func checkLog(t *testing.T, name, log string) {
	t.Helper()
	for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := strings.Index(log, sign); i >= 0 {
			t.Errorf("%s: %s", name, log[i:min(len(log), i+6000)])
		}
	}
}

// tail keeps a log readable.
func tail(s string) string {
	const most = 12000
	if len(s) > most {
		return "...\n" + s[len(s)-most:]
	}
	return s
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// ports are taken below the range that systems use for outgoing connections, so
// that a port stays free until the server that it is meant for listens on it.
var ports = struct {
	sync.Mutex
	next int
}{next: 12000 + rand.IntN(18000)}

func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		ports.next++
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports.next)); err == nil {
			_ = l.Close()
			return ports.next
		}
	}
	t.Fatal("no free port")
	return 0
}
