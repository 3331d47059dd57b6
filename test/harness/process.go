package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/internal/testlog"
)

// Result is the output and the exit status of a command.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// Command runs the program under test and waits for its end.
func Command(t *testing.T, stdin string, args ...string) Result {
	t.Helper()
	cmd := exec.Command(ProgramPath(t), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	checkLog(t, "graphrelay "+strings.Join(args, " "), stderr.String())
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Tool runs another program and returns its output. The test fails unless the program's
// exit status is 0.
func Tool(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	return ToolEnv(t, nil, stdin, name, args...)
}

// ToolEnv is Tool with additional environment variables.
func ToolEnv(t *testing.T, env []string, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, Tail(string(out)))
	}
	return string(out)
}

// Process is a server that a test started.
type Process struct {
	name string
	cmd  *exec.Cmd
	Log  testlog.Buffer
	Done chan struct{} // closed when it has ended
}

// StartProcess starts a program. At the end of the test it is stopped, and its log is
// checked.
func StartProcess(t *testing.T, path string, args ...string) *Process {
	t.Helper()
	return StartCommand(t, args[0], exec.Command(path, args...))
}

// StartCommand is StartProcess for a prepared command. Name stands for it in the test's
// output.
func StartCommand(t *testing.T, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	return launchCommand(t, (*exec.Cmd).Start, name, cmd)
}

// launchCommand is StartCommand with a start function in the place of exec's.
func launchCommand(t *testing.T, start func(*exec.Cmd) error, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{name: name, cmd: cmd, Done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.Log, &p.Log
	if err := start(p.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.Done)
	}()
	t.Cleanup(func() {
		p.Signal(syscall.SIGTERM)
		if !p.Ends() {
			t.Errorf("%s does not stop", p.name)
			p.Signal(syscall.SIGKILL)
			<-p.Done
		}
		checkLog(t, p.name, p.Log.String())
		checkOnce(t, p.name, p.Log.String())
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, Tail(p.Log.String()))
		}
	})
	return p
}

func (p *Process) Signal(s os.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(s)
	}
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) Running() bool {
	select {
	case <-p.Done:
		return false
	default:
		return true
	}
}

// Ends waits for the end of the process, and reports whether it ended within Guard.
func (p *Process) Ends() bool {
	select {
	case <-p.Done:
		return true
	case <-time.After(Guard):
		return false
	}
}

// Status returns the exit status of a process that has ended, -1 if a signal ended it.
func (p *Process) Status() int { return p.cmd.ProcessState.ExitCode() }

// checkLog fails the test if the log shows a data race or a panic.
func checkLog(t *testing.T, name, log string) {
	t.Helper()
	for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := strings.Index(log, sign); i >= 0 {
			t.Errorf("%s: %s", name, log[i:min(len(log), i+6000)])
		}
	}
}

// Tail returns the end of a long text.
func Tail(s string) string {
	const most = 12000
	if len(s) > most {
		return "...\n" + s[len(s)-most:]
	}
	return s
}

// ServerDir returns a temporary directory that a server can read after it dropped its
// privileges.
func ServerDir(t *testing.T) string {
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

// PeakMemory returns the peak resident memory of the process in KiB (VmHWM of proc(5)).
func PeakMemory(t *testing.T, p *Process) (kib int) {
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

// ProcessorTime returns the processor time that the process has used.
func (p *Process) ProcessorTime(t *testing.T) time.Duration {
	t.Helper()
	used, _, err := processorTime(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// processorTime returns the processor time of a process and of its children that have ended,
// and who its parent is (ppid, utime, stime, cutime and cstime of proc(5)).
func processorTime(pid int) (used time.Duration, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks [4]int64
	_, err = fmt.Sscan(strings.Join(append(fields[1:2], fields[11:15]...), " "), &parent, &ticks[0], &ticks[1], &ticks[2], &ticks[3])
	return time.Duration(ticks[0]+ticks[1]+ticks[2]+ticks[3]) * 10 * time.Millisecond, parent, err
}
