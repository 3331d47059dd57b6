package inprocess

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const proxyPassword = "pr0xy~hidden:value"

// gateway is an HTTP proxy with a password. It connects every host to a simulator whose
// certificate a private authority has signed, so that a request around the proxy, or one
// that trusts only the system's authorities, fails.
type gateway struct {
	*testing.T
	sim       *simulator.Simulator
	authority *testcert.Authority
	target    string
	url       string
	dir       string
	log       testlog.Buffer

	mu    sync.Mutex
	hosts []string // that were asked for
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{T: t, authority: testcert.NewAuthority(t), dir: t.TempDir(), sim: simulator.New(simulator.Options{RequireContract: true})}
	key := testcert.NewKey(t)
	cert := g.authority.Sign(&x509.Certificate{DNSNames: []string{"graph.test"}}, key.Public())
	server := httptest.NewUnstartedServer(g.sim)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	server.StartTLS()
	proxy := httptest.NewServer(http.HandlerFunc(g.connect))
	g.target, g.url = server.Listener.Addr().String(), proxy.URL
	t.Cleanup(func() {
		proxy.Close()
		server.CloseClientConnections()
		server.Close()
		g.sim.Close()
		for _, v := range g.sim.Violations() {
			t.Errorf("contract broken: %+v", v)
		}
	})
	return g
}

func (g *gateway) connect(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.hosts = append(g.hosts, r.Method+" "+r.Host)
	g.mu.Unlock()
	given := r.Header.Get("Proxy-Authorization")
	if given != "Basic "+base64.StdEncoding.EncodeToString([]byte("relay:"+proxyPassword)) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		http.Error(w, "not with "+given, http.StatusProxyAuthRequired)
		return
	}
	there, err := net.Dial("tcp", g.target)
	if err != nil {
		g.Error(err)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		g.Error(err)
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
	_, _ = io.Copy(here, there)
	_ = here.Close()
}

// load writes the configuration and loads it.
func (g *gateway) load(keys string) *config.Config {
	g.Helper()
	path := filepath.Join(g.dir, "relay.yaml")
	writeFile(g.T, path, fmt.Sprintf(`
hostname: relay.test
data_dir: data
listeners: [{name: devices, address: "127.0.0.1:0", auth: none, networks: [127.0.0.0/8]}]
connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    domains: [contoso.test]
    endpoints: {login: "https://graph.test", graph: "https://graph.test"}
    proxy: %s
    proxy_user: relay
    proxy_password_file: proxy.secret
%s
admin: {address: "localhost:0"}
`, g.url, keys))
	cfg, err := config.Load(path)
	if err != nil {
		g.Fatal(err)
	}
	return cfg
}

const withCA = "    ca_file: ca.crt"

// Requests for tokens, mail and uploads all go through the proxy, with a certificate of a
// private authority.
func TestProxy(t *testing.T) {
	g := newGateway(t)
	writeFile(t, filepath.Join(g.dir, "proxy.secret"), proxyPassword+"\n")
	testcert.WriteCert(t, filepath.Join(g.dir, "ca.crt"), g.authority.Cert)
	r := Run(t, g.load(withCA), &g.log)
	file := strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef\r\n", 70_000) // goes by an upload session
	g.send(r, "Content-Type: application/x-large\r\nContent-Disposition: attachment\r\n\r\n"+file)
	WaitSent(t, g.sim, 1)
	if n := g.sim.Stats().Calls[simulator.OpUpload]; n == 0 {
		t.Error("nothing was uploaded")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.Sort(g.hosts)
	if got := slices.Compact(g.hosts); !slices.Equal(got, []string{"CONNECT graph.test:443"}) {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// If a proxy keeps the relay from Microsoft, that is a fault of the connection: mail
// waits without using up attempts, the operator reads what to do and never the password,
// and a reload with corrected files releases the mail.
func TestProxyRefuses(t *testing.T) {
	for _, tt := range []struct{ name, password, keys, detail string }{
		{"wrong password", "wr0ng~hidden:value", withCA, "the proxy does not let the relay in (407); set proxy_user and proxy_password of the connection, or correct them"},
		{"unknown authority", proxyPassword, "", "certificate signed by unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t)
			writeFile(t, filepath.Join(g.dir, "proxy.secret"), tt.password)
			testcert.WriteCert(t, filepath.Join(g.dir, "ca.crt"), g.authority.Cert)
			cfg := g.load(tt.keys)
			_, err := connection.NewClient(cfg, cfg.Connections[0], connection.SignIn(cfg.Connections[0], nil), nil).Token(t.Context(), "")
			if e, ok := err.(*graph.Error); !ok || e.Class != graph.ClassConnection || e.Reason != graph.ReasonNetwork || e.Ambiguous {
				t.Errorf("the token: %+v", err)
			}
			r := Run(t, cfg, &g.log)
			g.send(r, "\r\ntext")
			waiting := g.deferred(r)
			if waiting.Attempts != 0 || waiting.Reason != reason.Network || !strings.Contains(waiting.Detail, tt.detail) {
				t.Errorf("after %d tries, %s: %s", waiting.Attempts, waiting.Reason, waiting.Detail)
			}
			for end := time.Now().Add(time.Minute); !strings.Contains(g.log.String(), tt.detail); time.Sleep(time.Millisecond) {
				if time.Now().After(end) { // it is written after the state
					t.Fatalf("the log does not say it:\n%s", g.log.String())
				}
			}
			_, events, err := r.Store.Get(t.Context(), waiting.ID)
			shown := fmt.Sprintf("%s %+v %v %v %s %+v", g.log.String(), events, err, waiting, r.Get(t, "/metrics"), cfg)
			for _, secret := range []string{tt.password, base64.StdEncoding.EncodeToString([]byte("relay:" + tt.password))} {
				if strings.Contains(shown, secret) {
					t.Errorf("the password is shown:\n%s", shown)
				}
			}

			writeFile(t, filepath.Join(g.dir, "proxy.secret"), proxyPassword)
			if err := r.Reload(g.load(withCA)); err != nil {
				t.Fatal(err)
			}
			WaitSent(t, g.sim, 1)
		})
	}
}

func (g *gateway) send(r *Running, body string) {
	g.Helper()
	p := &rig{T: g.T, sim: g.sim, relay: r}
	p.submit("a@contoso.test", []string{"b@example.test"}, []byte("From: a@contoso.test\r\nTo: b@example.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"+body))
}

func (g *gateway) deferred(r *Running) queue.Record {
	g.Helper()
	var list []queue.Record
	deferred := until(func() bool {
		var err error
		if list, err = r.Store.List(g.Context(), queue.Filter{}); err != nil {
			g.Fatal(err)
		}
		return len(list) == 1 && list[0].Reason != ""
	})
	if !deferred {
		g.Fatal("the message was not deferred")
	}
	return list[0]
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
