// Package windows runs the program for Windows under Wine: the demo, a relay that real clients send
// to and that is killed, the service, and the MSI. It also runs the tests of the packages that have
// code for Windows alone.
package windows

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// wine is a prefix of Wine: a Windows of its own, with the program.
type wine struct {
	dir     string
	prefix  string
	program string // graphrelay.exe
	wrapper string // runs it, as on Unix
}

// newWine makes a prefix. Debian's Wine lacks one function of Windows 10 that Go needs, in a DLL that
// is built here.
func newWine(t *testing.T) *wine {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("Wine runs programs for amd64 here, on Linux")
	}
	for _, tool := range []string{"wine", "wineboot", "wineserver", "x86_64-w64-mingw32-gcc", "wixl", "msibuild", "faketime"} {
		harness.NeedTool(t, tool)
	}
	w := &wine{dir: harness.ServerDir(t)}
	w.prefix, w.program, w.wrapper = filepath.Join(w.dir, "prefix"), filepath.Join(w.dir, "graphrelay.exe"), filepath.Join(w.dir, "graphrelay")
	t.Cleanup(func() { _ = w.command("wineserver", "-k", "-w").Run() })
	w.build(t, w.program, "build", "./cmd/graphrelay")
	script := "#!/bin/sh\nexport " + strings.Join(w.env(), " ") + "\nexec wine " + w.program + " \"$@\"\n"
	if err := os.WriteFile(w.wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	w.tool(t, "wineboot", "-i")
	w.tool(t, "wineserver", "-w") // until it has ended: what comes would get two managers of services
	dll := filepath.Join(w.prefix, "drive_c/windows/system32/bcryptprimitives.dll")
	harness.Tool(t, "", "x86_64-w64-mingw32-gcc", "-shared", "-O", "-s", "-o", dll, "testdata/bcryptprimitives.c", "-ladvapi32")
	w.stayUp(t)
	return w
}

// stayUp runs a program until the end of the test: with the last program of a user, Wine ends its
// services.
func (w *wine) stayUp(t *testing.T) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	p := harness.StartCommand(t, "simulate", w.command("wine", w.program, "simulate", "--quiet", "--listen", address))
	harness.WaitFor(t, "a program", func() bool {
		if !p.Running() {
			t.Fatalf("it ended with status %d: %s", p.Status(), p.Log.String())
		}
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// env returns the environment of Wine, without its own messages and without a screen.
func (w *wine) env() []string {
	return []string{"WINEPREFIX=" + w.prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES='mscoree,mshtml='", "DISPLAY="}
}

func (w *wine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = w.dir
	cmd.Env = os.Environ()
	for _, v := range w.env() {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(v, "'", ""))
	}
	return cmd
}

// tool runs a program of Wine, which must succeed.
func (w *wine) tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	got := result(t, w.command(name, args...))
	if got.Status != 0 {
		t.Fatalf("%s %q: status %d\n%s%s", name, args, got.Status, got.Stdout, got.Stderr)
	}
	return got.Stdout
}

// run runs graphrelay.exe.
func (w *wine) run(t *testing.T, args ...string) harness.Result {
	t.Helper()
	return result(t, w.command("wine", append([]string{w.program}, args...)...))
}

// result runs a command. Its output goes to files: what Wine starts in the background would keep a
// pipe open.
func result(t *testing.T, cmd *exec.Cmd) harness.Result {
	t.Helper()
	var out [2]*os.File
	for i := range out {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		out[i] = f
	}
	cmd.Stdout, cmd.Stderr = out[0], out[1]
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text := func(f *os.File) string { return strings.ReplaceAll(harness.ReadFile(t, f.Name()), "\r\n", "\n") }
	return harness.Result{Stdout: text(out[0]), Stderr: text(out[1]), Status: cmd.ProcessState.ExitCode()}
}

// build builds something of this module for Windows.
func (w *wine) build(t *testing.T, to string, command ...string) {
	t.Helper()
	last := len(command) - 1
	cmd := exec.Command("go", append(append(command[:last:last], "-trimpath", "-o", to), command[last])...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %q: %v\n%s", command, err, out)
	}
}

// TestWindows has one prefix for all that it does, since a prefix takes long to make.
func TestWindows(t *testing.T) {
	w := newWine(t)
	t.Run("packages", w.packages)
	t.Run("demo", w.demo)
	t.Run("serve", w.serve)
	t.Run("store", w.store)
	t.Run("service", w.service)
}

// packages runs the tests of packages that have code for Windows.
func (w *wine) packages(t *testing.T) {
	for _, p := range []string{"internal/certstore", "internal/private", "internal/winservice", "relay/control", "relay/pickup"} {
		program := filepath.Join(w.dir, strings.ReplaceAll(p, "/", "-")+".exe")
		w.build(t, program, "test", "-c", "./"+p)
		if got := result(t, w.command("wine", program, "-test.v", "-test.timeout=5m")); got.Status != 0 || !strings.Contains(got.Stdout, "--- PASS") {
			t.Errorf("%s: status %d\n%s%s", p, got.Status, harness.Tail(got.Stdout), got.Stderr)
		}
	}
}

func (w *wine) demo(t *testing.T) {
	if got := w.run(t, "demo", "--once"); got.Status != 0 || !strings.Contains(got.Stdout, "3 of 3 samples arrived whole") {
		t.Errorf("status %d\n%s%s", got.Status, got.Stdout, got.Stderr)
	}
}
