package relay_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/test/inprocess"
)

// A reload changes what it can, keeps the sockets, and changes nothing when it fails.
func TestReload(t *testing.T) {
	graph, url := inprocess.Simulate(t, simulator.Options{RequireContract: true})
	dir := t.TempDir()
	r, err := inprocess.Open(t, inprocess.Settings(t, dir, url, ""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Send("127.0.0.1:0", "one"); err != nil {
		t.Fatal(err)
	}
	before := r.Address("127.0.0.1:0")
	if err := r.Reload(inprocess.Settings(t, dir, url, `, {name: second, address: "127.0.0.2:0", auth: none, networks: [127.0.0.0/8]}`)); err != nil {
		t.Fatal(err)
	}
	if r.Address("127.0.0.1:0") != before {
		t.Error("the socket did not outlive the reload")
	}
	for _, l := range []string{"127.0.0.1:0", "127.0.0.2:0"} {
		if err := r.Send(l, "two"); err != nil {
			t.Errorf("%s after the reload: %v", l, err)
		}
	}
	if err := r.Reload(inprocess.Settings(t, t.TempDir(), url, "")); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("another data_dir gave %v", err)
	}
	taken := fmt.Sprintf(`, {name: second, address: %q, auth: none, networks: [127.0.0.0/8]}`, before)
	if err := r.Reload(inprocess.Settings(t, dir, url, taken)); err == nil || !strings.Contains(err.Error(), "listen on") {
		t.Errorf("an address in use gave %v", err)
	}
	if body := r.Get(t, "/metrics"); !strings.Contains(body, "graphrelay_config_last_reload_successful 0") {
		t.Error("the failed reload does not show in the metrics")
	}
	if err := r.Send("127.0.0.2:0", "three"); err != nil {
		t.Errorf("after a failed reload: %v", err)
	}
	inprocess.WaitSent(t, graph, 4)
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if a := r.Address("127.0.0.1:0"); a != "127.0.0.1:0" {
		t.Errorf("a socket that is closed listens on %s", a)
	}
	for _, v := range graph.Violations() {
		t.Errorf("contract broken: %+v", v)
	}
}

// Sessions and deliveries that go on through reloads lose nothing.
func TestReloadUnderLoad(t *testing.T) {
	graph, url := inprocess.Simulate(t, simulator.Options{RequireContract: true})
	dir := t.TempDir()
	r, err := inprocess.Open(t, inprocess.Settings(t, dir, url, ""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	const messages = 60
	done := make(chan int)
	go func() {
		accepted := 0
		for i := range messages {
			if err := r.Send("127.0.0.1:0", fmt.Sprint(i)); err == nil {
				accepted++
			} // one that a reload met before MAIL is refused, and may not be taken
		}
		done <- accepted
	}()
	for range 3 {
		if err := r.Reload(inprocess.Settings(t, dir, url, "")); err != nil {
			t.Error(err)
		}
	}
	accepted := <-done
	if accepted < messages/2 {
		t.Errorf("only %d of %d were accepted", accepted, messages)
	}
	inprocess.WaitSent(t, graph, accepted)
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if n := len(graph.Ledger()); n != accepted {
		t.Errorf("%d sent, %d accepted", n, accepted)
	}
}

func TestHealth(t *testing.T) {
	_, url := inprocess.Simulate(t, simulator.Options{RequireContract: true})
	r, err := inprocess.Open(t, inprocess.Settings(t, t.TempDir(), url, ""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/healthz": "200 ok\n", "/readyz": "200 ready\n", "/nothing": "404 404 page not found\n"} {
		if got := r.Get(t, path); got != want {
			t.Errorf("%s gave %q", path, got)
		}
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStartFaults(t *testing.T) {
	_, url := inprocess.Simulate(t, simulator.Options{RequireContract: true})
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := fmt.Sprintf(`, {name: second, address: %q, auth: none, networks: [127.0.0.0/8]}`, l.Addr().String())
	if _, err := inprocess.Open(t, inprocess.Settings(t, dir, url, taken), io.Discard); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("a taken address gave %v", err)
	}
	r, err := inprocess.Open(t, inprocess.Settings(t, dir, url, ""), io.Discard)
	if err != nil {
		t.Fatalf("after the failed start: %v", err)
	}
	if _, err := inprocess.Open(t, inprocess.Settings(t, dir, url, ""), io.Discard); err == nil || !strings.Contains(err.Error(), "in use by another graphrelay") {
		t.Errorf("a second relay on the queue gave %v", err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

// TestRedirectAllIsLoud checks that the log at the start and /readyz say where all mail goes.
func TestRedirectAllIsLoud(t *testing.T) {
	_, url := inprocess.Simulate(t, simulator.Options{})
	text := "relay.yaml:13: delivery.redirect_all: is staging@contoso.test, so ALL mail goes"
	cfg, err := config.Parse([]byte(strings.ReplaceAll(`listeners:
  - name: local
    address: 127.0.0.1:0
    auth: none
    networks: [127.0.0.0/8]
connections:
  - name: contoso
    tenant: contoso.test
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
    client_secret: simulated
    domains: [contoso.test]
    endpoints: {login: "URL", graph: "URL"}
delivery: {redirect_all: staging@contoso.test}
admin: {address: "localhost:0"}
data_dir: `, "URL", url)+t.TempDir()+"\n"), "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var log testlog.Buffer
	r := inprocess.Run(t, cfg, &log)
	if !strings.Contains(log.String(), text) {
		t.Errorf("the log is %s", log.String())
	}
	if got := r.Get(t, "/readyz"); !strings.HasPrefix(got, "200 ready\n") || !strings.Contains(got, "ALL mail goes to staging@contoso.test") {
		t.Errorf("/readyz is %q", got)
	}
}
