// Package harness runs the real program for the end-to-end tests: a relay and a
// simulator as processes of their own, with mail clients that are not ours. What is
// missing on a developer's machine is skipped; with CI set it fails.
package harness

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Guard ends a test that hangs. Nothing is expected to take that long.
const Guard = 8 * time.Minute

// atOnce is how many tests run at a time, at least.
const atOnce = 5

// workDir holds what all tests of a package share. Main removes it.
var workDir string

// Main is the TestMain of a package of end-to-end tests.
func Main(m *testing.M) {
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

// inCI tells that nothing may be skipped.
func inCI() bool { return os.Getenv("CI") != "" }

// SkipUnlessCI skips the test where something is missing, and fails it in CI.
func SkipUnlessCI(t *testing.T, format string, args ...any) {
	t.Helper()
	if inCI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedTool returns the path of a program that the test cannot do without.
func NeedTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		SkipUnlessCI(t, "%s is not installed; .ci/install installs it", name)
	}
	return path
}

// WaitFor polls until done reports true: often at first, and less often the longer it
// takes, since the answers take time from what is waited for.
func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < Guard; time.Sleep(min(10*time.Millisecond+time.Since(start)/20, 200*time.Millisecond)) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}

// ports are handed out in blocks below the range that systems use for outgoing
// connections, so that a port stays free until the server that it is meant for listens
// on it. Listening on a block's first port keeps the block from the other packages.
var ports struct {
	sync.Mutex
	next, end int
	blocks    []net.Listener
}

const (
	firstPort, lastPort = 12000, 30000
	portBlock           = 50
)

// FreePort returns a port that nothing else of the tests uses.
func FreePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		if ports.next == ports.end && !takeBlock() {
			continue
		}
		ports.next++
		if l, err := listenOn(ports.next - 1); err == nil {
			_ = l.Close()
			return ports.next - 1
		}
	}
	t.Fatal("no free port")
	return 0
}

// takeBlock reports whether a block chosen at random was free.
func takeBlock() bool {
	first := firstPort + portBlock*rand.IntN((lastPort-firstPort)/portBlock)
	l, err := listenOn(first)
	if err != nil {
		return false
	}
	ports.blocks = append(ports.blocks, l)
	ports.next, ports.end = first+1, first+portBlock
	return true
}

func listenOn(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// NeedAddresses skips where not all of 127.0.0.0/8 are this machine's own, as on Linux.
func NeedAddresses(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs the addresses of 127.0.0.0/8")
	}
}

func ReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
