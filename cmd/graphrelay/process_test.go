package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

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

// serverDir is a directory for a server that drops its privileges.
func serverDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "graphrelay-server-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// peakMemory is the most that the process ever had in memory, in KiB.
func peakMemory(t *testing.T, p *process) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatalf("VmHWM: %v in %s", err, status)
	}
	return kib
}
