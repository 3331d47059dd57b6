// Package harness runs the real program for the end-to-end tests: a relay and a Graph
// simulator as processes of their own, and other people's mail clients and servers. A
// test that needs a missing program is skipped; with CI set in the environment it fails.
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

// Guard is how long a test waits for anything before it fails. Nothing takes that long.
const Guard = 8 * time.Minute

// atOnce is the least number of tests of a package that run at a time.
const atOnce = 5

// workDir holds the files that the tests of a package share. Main removes it.
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

// inCI reports whether nothing may be skipped.
func inCI() bool { return os.Getenv("CI") != "" }

// SkipUnlessCI skips a test that lacks something. In CI it fails the test instead.
func SkipUnlessCI(t *testing.T, format string, args ...any) {
	t.Helper()
	if inCI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedTool returns the path of an installed program. Without it the test is skipped, or
// fails in CI. Only the test's own goroutine may call it.
func NeedTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		SkipUnlessCI(t, "%s is not installed; .ci/install installs it", name)
	}
	return path
}

// WaitFor polls until done returns true. The polls become rarer, since each of them slows
// down the programs that the test waits for.
func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < Guard; time.Sleep(min(10*time.Millisecond+time.Since(start)/20, 200*time.Millisecond)) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}

// ports are taken from blocks below the range that systems use for outgoing connections,
// so that a port stays free until its server listens on it. A package of tests owns a
// block as long as it listens on the first port of it.
var ports struct {
	sync.Mutex
	next, end int
	blocks    []net.Listener
}

const (
	firstPort, lastPort = 12000, 30000
	portBlock           = 50
)

// FreePort returns a port of 127.0.0.1 that no other test uses.
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

// takeBlock takes a block chosen at random, and reports whether it was free.
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

// NeedAddresses skips the test unless all of 127.0.0.0/8 belongs to this machine, as on
// Linux.
func NeedAddresses(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs the addresses of 127.0.0.0/8")
	}
}

// ReadFile returns the content of a file.
func ReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
