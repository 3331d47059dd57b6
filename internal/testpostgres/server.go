// Package testpostgres runs PostgreSQL servers for tests, with what Debian's package has
// installed, each in a directory of its own and on loopback alone.
package testpostgres

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server.
type Server struct {
	Port    int
	dir     string
	user    *account // nil: that of the test
	options []string
	process *process
}

// startTime is generous: the machine may be busy.
const startTime = 2 * time.Minute

var (
	sharedMu sync.Mutex
	shared   *Server
	number   atomic.Int64
)

// Main runs the tests and then ends the server that Database started: a TestMain calls it.
func Main(m *testing.M) {
	code := m.Run()
	sharedMu.Lock()
	if shared != nil {
		shared.Stop(nil, syscall.SIGQUIT)
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// Database returns the URL of a new database, on a server that all tests of the process share.
// What it has committed is not on the disk.
func Database(t testing.TB) string {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared == nil {
		s := newServer(t, "", "fsync=off", "full_page_writes=off")
		s.Start(t)
		shared = s
	}
	return shared.Database(t)
}

// New returns a server that is as durable as the disk. It is ended with the test.
func New(t testing.TB, options ...string) *Server {
	t.Helper()
	return NewIn(t, "", options...)
}

// NewIn is New with the server's files below a directory.
func NewIn(t testing.TB, parent string, options ...string) *Server {
	t.Helper()
	s := newServer(t, parent, options...)
	t.Cleanup(func() {
		if s.process != nil {
			s.Stop(t, syscall.SIGQUIT)
		}
		_ = os.RemoveAll(s.dir)
	})
	s.Start(t)
	return s
}

// Program returns the path of a program, and skips the test, or in CI fails it, if it is
// missing. It knows where Debian has the programs of PostgreSQL.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob(filepath.Join("/usr/lib/postgresql/*/bin", name))
	found = append(found, filepath.Join("/usr/sbin", name))
	for _, path := range found {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing; .ci/install installs it", name)
	}
	t.Skipf("%s is missing; .ci/install installs it", name)
	return ""
}

func newServer(t testing.TB, parent string, options ...string) *Server {
	t.Helper()
	initdb := Program(t, "initdb")
	dir, err := os.MkdirTemp(parent, "graphrelay-postgres-")
	must(t, err)
	s := &Server{dir: dir, options: options, user: unprivileged(t)}
	s.user.own(t, dir)
	out, err := s.user.run(exec.Command(initdb, "--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres", "--auth=trust", s.data())).CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	return s
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Start starts the server, the first time on a free port, and returns when it takes
// connections. After a kill it may take a while until what is left of the server has ended.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < startTime; time.Sleep(100 * time.Millisecond) {
		if s.start(t) {
			return
		}
		s.Port = 0 // another may have taken the port meanwhile
	}
	t.Fatal("PostgreSQL does not start")
}

// Running reports whether the server runs: it ends of itself where it cannot write its log.
func (s *Server) Running() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.process.done:
		return false
	default:
		return true
	}
}

func (s *Server) start(t testing.TB) bool {
	t.Helper()
	if s.Port == 0 {
		s.Port = freePort(t)
	}
	args := []string{"-D", s.data(), "-k", s.dir, "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"}
	for _, o := range s.options {
		args = append(args, "-c", o)
	}
	var log bytes.Buffer
	s.process = startProcess(t, s.user.run(exec.Command(Program(t, "postgres"), args...)), &log)
	deadline := time.Now().Add(startTime)
	for time.Now().Before(deadline) {
		if s.answers() {
			return true
		}
		select {
		case <-s.process.done:
			s.process = nil
			t.Logf("PostgreSQL ended: %s", log.String())
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("PostgreSQL does not answer: %s", log.String())
	return false
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return false
	}
	return c.Close(ctx) == nil
}

// Stop ends the server with a signal: SIGINT shuts it down, SIGQUIT ends it at once, and
// SIGKILL gives it no chance.
func (s *Server) Stop(t testing.TB, signal syscall.Signal) {
	if err := s.process.end(signal); err != nil && t != nil {
		t.Errorf("PostgreSQL: %v", err)
	}
	s.process = nil
}

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.Port, database)
}

// Database creates a database and returns its URL. It is dropped with the test.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", number.Add(1))
	s.admin(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if s.process != nil {
			s.admin(t, "DROP DATABASE "+name+" WITH (FORCE)")
		}
	})
	return s.URL(name)
}

func (s *Server) admin(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	must(t, err)
	_, err = c.Exec(ctx, sql)
	must(t, err)
	must(t, c.Close(ctx))
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
