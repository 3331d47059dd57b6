package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"graphrelay/internal/race"
)

// programsDir names the environment variable with the directory that holds both builds of
// the program. make test builds them once for all packages of tests. Without the variable
// each package builds what it needs.
const programsDir = "GRAPHRELAY_TEST_PROGRAMS"

// program returns the path of the program under test, built with the race detector if the
// tests are.
var program = sync.OnceValues(func() (string, error) { return findProgram("graphrelay", race.Enabled) })

// releasedProgram returns the path of the program built as for a release.
var releasedProgram = sync.OnceValues(func() (string, error) { return findProgram("graphrelay-released", false) })

func findProgram(name string, detect bool) (string, error) {
	if dir := os.Getenv(programsDir); dir != "" {
		return filepath.Join(dir, name), nil
	}
	return buildProgram(filepath.Join(workDir, name), detect)
}

// BuildWith builds the program with a variable set to a value, and returns its path.
func BuildWith(t *testing.T, variable, value string) string {
	t.Helper()
	path, err := buildProgram(filepath.Join(t.TempDir(), "graphrelay"), race.Enabled, "-ldflags=-X '"+variable+"="+value+"'")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func buildProgram(path string, detect bool, more ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-o", path}, more...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if detect {
		// The same packages as in the Makefile go without the race detector: they are
		// slow with it.
		cmd.Args = append(cmd.Args, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc=-race=false",
			"-gcflags=golang.org/x/crypto/blowfish=-race=false")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	cmd.Args = append(cmd.Args, "graphrelay/cmd/graphrelay")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// ProgramPath returns the path of the program under test.
func ProgramPath(t *testing.T) string {
	t.Helper()
	return pathOf(t, program)
}

// ReleasedPath returns the path of the program built as for a release.
func ReleasedPath(t *testing.T) string {
	t.Helper()
	return pathOf(t, releasedProgram)
}

func pathOf(t *testing.T, find func() (string, error)) string {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
