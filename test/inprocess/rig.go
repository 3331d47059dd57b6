// Package inprocess runs a whole relay and a Graph simulator in the process of the test.
// Its tests follow mail through both: envelopes, paths, senders, sign-in and TLS.
package inprocess

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// Running is a relay in the test's process.
type Running struct {
	*relay.Relay
	Config *config.Config // that it started with
	Store  *queue.Queue   // its queue, as the commands of operators open it

	stop func() error
}

// Open starts a relay. The test must stop it.
func Open(t *testing.T, cfg *config.Config, log io.Writer) (*Running, error) {
	t.Helper()
	r, err := relay.Start(t.Context(), cfg, log)
	if err != nil {
		return nil, err
	}
	store, err := relay.OpenQueue(t.Context(), cfg, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &Running{r, cfg, store, sync.OnceValue(r.Stop)}, nil
}

// Run starts a relay that is stopped at the end of the test.
func Run(t *testing.T, cfg *config.Config, log io.Writer) *Running {
	t.Helper()
	r, err := Open(t, cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Stop stops the relay. Later calls return the result of the first.
func (r *Running) Stop() error { return r.stop() }

// FaultyLog is a log that makes the program fail: after Break it panics once, in whatever logs a line
// that contains a text.
type FaultyLog struct {
	io.Writer
	text atomic.Pointer[string]
}

// Break has the log panic.
func (l *FaultyLog) Break(text string) { l.text.Store(&text) }

// Write implements io.Writer.
func (l *FaultyLog) Write(line []byte) (int, error) {
	if text := l.text.Load(); text != nil && strings.Contains(string(line), *text) && l.text.CompareAndSwap(text, nil) {
		panic("the test has the log fail")
	}
	return l.Writer.Write(line)
}

// Refused is in the line of the log about a command that a session refuses.
const Refused = `"msg":"refused"`

// Get requests a path of the admin address, which is localhost:0 in the configuration,
// and returns the status and the body.
func (r *Running) Get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + r.Address("localhost:0") + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// Send sends a message to the listener on an address of the configuration.
func (r *Running) Send(address, subject string) error {
	return smtp.SendMail(r.Address(address), nil, "a@contoso.test", []string{"b@example.test"},
		[]byte("From: a@contoso.test\r\nTo: b@example.test\r\nSubject: "+subject+"\r\n\r\nbody\r\n"))
}

// Settings returns a configuration with free ports. More is inserted behind its only
// listener.
func Settings(t testing.TB, dir, graph, more string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(fmt.Appendf(nil, `
hostname: relay.test
data_dir: %s
listeners: [{name: devices, address: "127.0.0.1:0", auth: none, networks: [127.0.0.0/8]}%s]
connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    domains: [contoso.test]
    endpoints: {login: %q, graph: %[3]q}
admin: {address: "localhost:0"}
`, filepath.ToSlash(dir), more, graph), filepath.Join(dir, "relay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Simulate starts a simulator that runs until the end of the test, and returns its URL
// too.
func Simulate(t *testing.T, o simulator.Options) (*simulator.Simulator, string) {
	t.Helper()
	s := simulator.New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); s.Close() })
	return s, "http://" + l.Addr().String()
}

// WaitSent waits until the simulator has accepted n sends.
func WaitSent(t *testing.T, s *simulator.Simulator, n int) {
	t.Helper()
	if !until(func() bool { return len(s.Ledger()) >= n }) {
		t.Fatalf("%d messages were sent, want %d", len(s.Ledger()), n)
	}
}

// until polls until done returns true. It reports false if that takes longer than anything
// does, on however busy a machine.
func until(done func() bool) bool {
	for end := time.Now().Add(4 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
