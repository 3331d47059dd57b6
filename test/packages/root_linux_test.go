package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// machine is a minimal Debian with systemd, booted in a container. It shares the network of this
// machine.
type machine struct {
	root string
	init int // the process that is systemd in the container
}

// rootArchive names the environment variable with an archive of the root, made by mmdebstrap with
// the arguments below. It saves the time of making one.
const rootArchive = "GRAPHRELAY_TEST_ROOT"

// boot starts a Debian with what the packages depend on, with rpm, and with cron, which sends mail.
func boot(t *testing.T) machine {
	t.Helper()
	for _, tool := range []string{"mmdebstrap", "systemd-nspawn", "nsenter"} {
		harness.NeedTool(t, tool)
	}
	if os.Geteuid() != 0 {
		harness.SkipUnlessCI(t, "needs root")
	}
	m := machine{root: filepath.Join(t.TempDir(), "root")}
	if archive := os.Getenv(rootArchive); archive != "" {
		if err := os.Mkdir(m.root, 0o755); err != nil {
			t.Fatal(err)
		}
		harness.Tool(t, "", "tar", "-xf", archive, "-C", m.root)
	} else {
		harness.Tool(t, "", "mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,ca-certificates,procps,rpm,cron", release(t), m.root)
	}
	// It boots without the help of a systemd outside, which this machine may not have.
	container := harness.StartCommand(t, "systemd-nspawn", exec.Command("systemd-nspawn", "--directory="+m.root, "--boot", "--register=no", "--keep-unit", "--quiet", "--link-journal=no", "--", "--show-status=no"))
	harness.WaitFor(t, "systemd in the container", func() bool {
		if !container.Running() {
			t.Fatal("systemd-nspawn ended")
		}
		m.init = initOf(container.PID())
		return m.init != 0 && m.command("systemctl", "is-active", "--quiet", "multi-user.target").Run() == nil
	})
	return m
}

// initOf returns the child of a process that is the first process of its own PID namespace, 0 if
// there is none.
func initOf(parent int) int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	for _, child := range strings.Fields(string(children)) {
		status, _ := os.ReadFile("/proc/" + child + "/status")
		for line := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok && len(strings.Fields(ids)) == 2 && strings.Fields(ids)[1] == "1" {
				pid, _ := strconv.Atoi(child)
				return pid
			}
		}
	}
	return 0
}

// release returns the name of the release of Debian that runs here.
func release(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(harness.ReadFile(t, "/etc/os-release")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return name
		}
	}
	harness.SkipUnlessCI(t, "this is no Debian")
	return ""
}

func (m machine) path(name string) string { return filepath.Join(m.root, name) }

// command returns a command that runs in the machine.
func (m machine) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", strconv.Itoa(m.init), "--mount", "--pid", "--ipc", "--uts", "--"}, args...)...)
}

// run runs a command in the machine, and returns what it prints.
func (m machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, harness.Tail(string(out)))
	}
	return string(out)
}

// has reports whether the machine has a file.
func (m machine) has(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Lstat(m.path(name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}

// want checks mode and owner of files.
func (m machine) want(t *testing.T, files map[string]string) {
	t.Helper()
	for name, want := range files {
		if got := strings.TrimSpace(m.run(t, "stat", "-c", "%A %U:%G", name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// write writes a file that the service may read and not change.
func (m machine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	m.run(t, "chown", "root:graphrelay", name)
}

// mainPID returns the process of the service, "0" if it does not run.
func (m machine) mainPID(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(m.run(t, "systemctl", "show", "--value", "-p", "MainPID", "graphrelay"))
}

// pair is graphrelay and graphrelay-mta of one version and kind: paths.
type pair struct{ main, mta string }

// builds returns a function that builds the packages of a version.
func builds(t *testing.T) func(version string) (deb, rpm pair) {
	t.Helper()
	for _, tool := range []string{"make", "gzip", "git"} {
		harness.NeedTool(t, tool)
	}
	program, dist := harness.ReleasedPath(t), t.TempDir()
	harness.Tool(t, "", "make", "-s", "-C", "../..", "share", "DIST="+dist, "PROGRAM="+program)
	return func(version string) (deb, rpm pair) {
		out := filepath.Join(dist, version)
		harness.ToolEnv(t, []string{"SOURCE_DATE_EPOCH=1700000000"}, "", "../../deploy/package/build", version, runtime.GOARCH, program, filepath.Join(dist, "share"), out)
		return pair{one(t, out, "graphrelay_*.deb"), one(t, out, "graphrelay-mta_*_all.deb")},
			pair{one(t, out, "graphrelay-[0-9]*.rpm"), one(t, out, "graphrelay-mta-*.noarch.rpm")}
	}
}

// one returns the file that matches a pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %q, %v", pattern, found, err)
	}
	return found[0]
}
