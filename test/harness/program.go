package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// program is the binary under test, with the race detector if this test has it.
var program = sync.OnceValues(func() (string, error) { return buildProgram("graphrelay", raceEnabled) })

// PlainProgram is the binary as it is released.
var PlainProgram = sync.OnceValues(func() (string, error) { return buildProgram("graphrelay-plain", false) })

func buildProgram(name string, race bool) (string, error) {
	path := filepath.Join(workDir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "graphrelay/cmd/graphrelay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if race {
		// SQLite, which is C made Go, is slow with the race detector: it goes without, as in the Makefile.
		cmd.Args = []string{"go", "build", "-race", "-gcflags=modernc.org/sqlite/lib=-race=false",
			"-gcflags=modernc.org/libc=-race=false", "-o", path, "graphrelay/cmd/graphrelay"}
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

func ProgramPath(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
