//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graphrelay/internal/testpostgres"
)

// TestMain runs the program itself in the processes that executeAs starts.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(env{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
	}
	testpostgres.Main(m)
}

const asProgram = "GRAPHRELAY_TEST_RUN_COMMAND"

// nobody is a user that owns nothing.
const nobody = 65534

// executeAs runs a command line as the user nobody, whom the copy of the test program in dir
// is open to.
func executeAs(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "graphrelay")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// A queue that the user may not open is not taken for none.
func TestQueueOfAnotherUser(t *testing.T) {
	config, _ := fillQueue(t)
	dir := filepath.Dir(config)
	data := filepath.Join(dir, "data")
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	list := func() outcome { return execute(t, "", "queue", "list", "--config", config) }
	closed := os.FileMode(0)
	if os.Geteuid() == 0 { // root may open everything
		chmod(filepath.Dir(dir), 0o755)
		chmod(dir, 0o755)
		chmod(config, 0o644)
		list = func() outcome { return executeAs(t, dir, "queue", "list", "--config", config) }
		closed = 0o700
	}
	for _, c := range []struct{ data, database os.FileMode }{{closed, 0o600}, {0o755, closed &^ 0o100}} {
		chmod(filepath.Join(data, "queue.db"), c.database)
		chmod(data, c.data)
		got := list()
		chmod(data, 0o700)
		chmod(filepath.Join(data, "queue.db"), 0o600)
		got.want(t, exitFault, "may not read and write", "run this as the user that owns it")
		if got.stdout != "" || strings.Contains(got.stderr, "no queue") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("got %+v", got)
		}
	}
}
