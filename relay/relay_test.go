package relay

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// settings is a configuration on free ports whose parts a test changes.
func settings(t *testing.T, dir, graph, more string) *config.Config {
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

func send(t *testing.T, r *Relay, address, subject string) error {
	t.Helper()
	return smtp.SendMail(r.Address(address), nil, "a@contoso.test", []string{"b@example.test"},
		[]byte("From: a@contoso.test\r\nTo: b@example.test\r\nSubject: "+subject+"\r\n\r\nbody\r\n"))
}

func sim(t *testing.T) (*simulator.Simulator, string) {
	t.Helper()
	return simWith(t, simulator.Options{RequireContract: true})
}

// startRelay runs a relay until the test ends.
func startRelay(t *testing.T, cfg *config.Config, log io.Writer) *Relay {
	t.Helper()
	r, err := Start(t.Context(), cfg, log)
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

func simWith(t *testing.T, o simulator.Options) (*simulator.Simulator, string) {
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

func waitSent(t *testing.T, s *simulator.Simulator, n int) {
	t.Helper()
	for range 3000 {
		if len(s.Ledger()) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d messages were sent, want %d", len(s.Ledger()), n)
}

// A reload changes what it can, keeps the sockets, and changes nothing when it fails.
func TestReload(t *testing.T) {
	graph, url := sim(t)
	dir := t.TempDir()
	r, err := Start(t.Context(), settings(t, dir, url, ""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t, r, "127.0.0.1:0", "one"); err != nil {
		t.Fatal(err)
	}
	before := r.Address("127.0.0.1:0")
	if err := r.Reload(settings(t, dir, url, `, {name: second, address: "127.0.0.2:0", auth: none, networks: [127.0.0.0/8]}`)); err != nil {
		t.Fatal(err)
	}
	if r.Address("127.0.0.1:0") != before {
		t.Error("the socket did not outlive the reload")
	}
	for _, l := range []string{"127.0.0.1:0", "127.0.0.2:0"} {
		if err := send(t, r, l, "two"); err != nil {
			t.Errorf("%s after the reload: %v", l, err)
		}
	}
	if err := r.Reload(settings(t, t.TempDir(), url, "")); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("another data_dir gave %v", err)
	}
	taken := fmt.Sprintf(`, {name: second, address: %q, auth: none, networks: [127.0.0.0/8]}`, before)
	if err := r.Reload(settings(t, dir, url, taken)); err == nil || !strings.Contains(err.Error(), "listen on") {
		t.Errorf("an address in use gave %v", err)
	}
	if body := get(t, r, "/metrics"); !strings.Contains(body, "graphrelay_config_last_reload_successful 0") {
		t.Error("the failed reload does not show in the metrics")
	}
	if err := send(t, r, "127.0.0.2:0", "three"); err != nil {
		t.Errorf("after a failed reload: %v", err)
	}
	waitSent(t, graph, 4)
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	for _, v := range graph.Violations() {
		t.Errorf("contract broken: %+v", v)
	}
}

func get(t *testing.T, r *Relay, path string) string {
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

// Sessions and deliveries that go on through reloads lose nothing.
func TestReloadUnderLoad(t *testing.T) {
	graph, url := sim(t)
	dir := t.TempDir()
	r, err := Start(t.Context(), settings(t, dir, url, ""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	const messages = 60
	done := make(chan int)
	go func() {
		accepted := 0
		for i := range messages {
			if err := send(t, r, "127.0.0.1:0", fmt.Sprint(i)); err == nil {
				accepted++
			} // one that a reload met before MAIL is refused, and may not be taken
		}
		done <- accepted
	}()
	for range 3 {
		if err := r.Reload(settings(t, dir, url, "")); err != nil {
			t.Error(err)
		}
	}
	accepted := <-done
	if accepted < messages/2 {
		t.Errorf("only %d of %d were accepted", accepted, messages)
	}
	waitSent(t, graph, accepted)
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if n := len(graph.Ledger()); n != accepted {
		t.Errorf("%d sent, %d accepted", n, accepted)
	}
}

func TestHealth(t *testing.T) {
	_, url := sim(t)
	r, err := Start(t.Context(), settings(t, t.TempDir(), url, ""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/healthz": "200 ok\n", "/readyz": "200 ready\n", "/nothing": "404 404 page not found\n"} {
		if got := get(t, r, path); got != want {
			t.Errorf("%s gave %q", path, got)
		}
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStartFaults(t *testing.T) {
	_, url := sim(t)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := fmt.Sprintf(`, {name: second, address: %q, auth: none, networks: [127.0.0.0/8]}`, l.Addr().String())
	if _, err := Start(t.Context(), settings(t, dir, url, taken), io.Discard); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("a taken address gave %v", err)
	}
	r, err := Start(t.Context(), settings(t, dir, url, ""), io.Discard)
	if err != nil {
		t.Fatalf("after the failed start: %v", err)
	}
	if _, err := Start(t.Context(), settings(t, dir, url, ""), io.Discard); err == nil || !strings.Contains(err.Error(), "in use by another graphrelay") {
		t.Errorf("a second relay on the queue gave %v", err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
