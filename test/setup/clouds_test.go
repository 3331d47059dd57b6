//go:build unix

package setup

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/test/harness"
)

// nation is one of Microsoft's clouds, as its pages and MSAL describe it.
type nation struct {
	login, graph string
	others       []string // hosts that may be looked at besides
	world        simulator.World
	adminApp     string // a public client of somebody's own, where Microsoft's is missing
	browser      bool   // the administrator signs in with a browser
}

var nations = map[string]nation{
	"global": {login: "login.microsoftonline.com", graph: "graph.microsoft.com", others: []string{"outlook.office.com"}},
	"usgov": {login: "login.microsoftonline.us", graph: "graph.microsoft.us",
		world: simulator.World{NoUploadSessions: true, NoPermanentDelete: true}},
	"usgovdod": {login: "login.microsoftonline.us", graph: "dod-graph.microsoft.us", browser: true,
		world: simulator.World{NoUploadSessions: true, NoPermanentDelete: true}},
	"china": {login: "login.partner.microsoftonline.cn", graph: "microsoftgraph.chinacloudapi.cn", browser: true,
		adminApp: "55555555-5555-5555-5555-555555555555", world: simulator.World{NoPermanentDelete: true}},
}

// microsoft is a proxy that stands in for all of Microsoft's hosts. It hands each request to a
// simulator, and records which host was asked for what.
type microsoft struct {
	nation
	t    *testing.T
	sim  *simulator.Simulator
	cert tls.Certificate

	mu     sync.Mutex
	asked  map[string]int // by host
	faults []string
}

// newMicrosoft starts the proxy, and returns the environment of a program that uses it.
func newMicrosoft(t *testing.T, n nation) (*microsoft, *httptest.Server, []string) {
	t.Helper()
	key := testcert.NewKey(t)
	ca := testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "clouds"}, NotAfter: time.Now().AddDate(0, 1, 0),
		DNSNames: append([]string{n.login, n.graph}, n.others...), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key)
	m := &microsoft{nation: n, t: t, asked: map[string]int{}, cert: tls.Certificate{Certificate: [][]byte{ca.Raw}, PrivateKey: crypto.PrivateKey(key)}}
	o := simulator.Options{Mailboxes: []string{"contoso.test"}, DeviceInterval: time.Second, Deliver: true, MessageFlags: true, World: n.world}
	if n.adminApp != "" {
		o.PublicClients = []string{n.adminApp}
	}
	m.sim = simulator.New(o)
	proxy := httptest.NewServer(m)
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
		m.sim.Close()
	})
	file := filepath.Join(t.TempDir(), "ca.pem")
	testcert.WriteCert(t, file, ca)
	return m, proxy, append(os.Environ(), "HTTPS_PROXY="+proxy.URL, "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "SSL_CERT_FILE="+file, "SSL_CERT_DIR=/nonexistent")
}

// ServeHTTP implements http.Handler. It serves CONNECT, and to the test the simulator.
func (m *microsoft) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		m.sim.ServeHTTP(w, r)
		return
	}
	host, port, _ := net.SplitHostPort(r.Host)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		m.fault("%v", err)
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	if port != "443" {
		m.fault("%s is asked at port %s", host, port)
	}
	secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{m.cert}})
	defer secured.Close()
	in := bufio.NewReader(secured)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		m.serve(host, request, secured)
	}
}

// serve hands one request to the simulator.
func (m *microsoft) serve(host string, r *http.Request, to io.Writer) {
	state := to.(*tls.Conn).ConnectionState()
	r.TLS = &state
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	m.mu.Lock()
	m.asked[host]++
	m.mu.Unlock()
	form, _ := url.ParseQuery(string(body))
	switch signIn := strings.Contains(r.URL.Path, "/oauth2/"); {
	case r.Host != host:
		m.fault("%s is asked for a page of %s", host, r.Host)
	case signIn && host != m.login, !signIn && host == m.login, !signIn && r.URL.Path != "/" && host != m.graph:
		m.fault("%s is asked for %s", host, r.URL.Path)
	case signIn:
		for _, scope := range strings.Fields(form.Get("scope") + " " + r.URL.Query().Get("scope")) {
			if !strings.HasPrefix(scope, "https://"+m.graph+"/") {
				m.fault("a token is asked for %s", scope)
			}
		}
	}
	if host == m.login {
		r.Host = m.graph // by which the simulator knows its own Graph in a scope
	}
	recorder := httptest.NewRecorder()
	m.sim.ServeHTTP(recorder, r)
	answer := recorder.Result()
	answer.ContentLength = int64(recorder.Body.Len())
	_ = answer.Write(to)
}

func (m *microsoft) fault(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, fmt.Sprintf(format, args...))
}

// TestClouds sets a relay up in each cloud, then checks and probes it. Each request goes to a
// host of that cloud.
func TestClouds(t *testing.T) {
	for name, n := range nations {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "china" {
				t.Skip("one cloud is enough")
			}
			t.Parallel()
			m, proxy, env := newMicrosoft(t, n)
			file := filepath.Join(t.TempDir(), "relay.yaml")
			processes := harness.WatchProcesses(t, file)
			args := []string{"setup", "--config", file, "--mailboxes", scanner, "--scope", "tenant", "--clients", "devices", "--networks", "127.0.0.1"}
			if name != "global" {
				args = append(args, "--cloud", name)
			}
			if n.adminApp != "" {
				args = append(args, "--admin-app", n.adminApp, "--tenant", "contoso.test")
			}
			if n.browser {
				args = append(args, "--sign-in", "browser")
			}
			p := m.start(t, env, args...)
			m.signIn(t, p, proxy.URL)
			m.ends(t, p, 0)
			text := harness.ReadFile(t, file)
			if strings.Contains(text, "endpoints:") || strings.Contains(text, "cloud: "+name) != (name != "global") {
				t.Errorf("the configuration is\n%s", text)
			}
			m.ends(t, m.start(t, env, "check", "--online", "--config", file, "--mailbox", scanner), 0)
			p = m.start(t, env, "probe", "--config", file, "--mailbox", scanner, "--wait", "20s")
			if !p.Ends() || p.Status() == 2 {
				t.Errorf("probe ends with %d:\n%s", p.Status(), p.Log.String())
			}
			for _, line := range processes() {
				for _, secret := range m.sim.Secrets() {
					if bytes.Contains(line, []byte(secret)) {
						t.Errorf("the process list shows a secret: %q", line)
					}
				}
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, fault := range m.faults {
				t.Error(fault)
			}
			if m.asked[n.login] == 0 || m.asked[n.graph] == 0 {
				t.Errorf("asked: %v", m.asked)
			}
		})
	}
}

// start starts the program behind the proxy.
func (m *microsoft) start(t *testing.T, env []string, args ...string) *harness.Process {
	t.Helper()
	cmd := exec.Command(harness.ProgramPath(t), args...)
	cmd.Env = env
	return harness.StartCommand(t, args[0], cmd)
}

func (m *microsoft) ends(t *testing.T, p *harness.Process, status int) {
	t.Helper()
	if !p.Ends() || p.Status() != status {
		t.Fatalf("ended with status %d, want %d:\n%s", p.Status(), status, p.Log.String())
	}
}

var (
	shownCode = regexp.MustCompile(`open\n\n\s+(\S+)\n\nand enter the code  (\S+)  `)
	shownPage = regexp.MustCompile(`Open this address in a browser:\n\n\s+(\S+)\n`)
)

// signIn signs an administrator in at the page that is shown, which the simulator serves.
func (m *microsoft) signIn(t *testing.T, p *harness.Process, sim string) {
	t.Helper()
	var code, page []string
	harness.WaitFor(t, "a code or a page", func() bool {
		code, page = shownCode.FindStringSubmatch(p.Log.String()), shownPage.FindStringSubmatch(p.Log.String())
		if !p.Running() {
			t.Fatalf("setup ended:\n%s", p.Log.String())
		}
		return code != nil || page != nil
	})
	form, shown := url.Values{"account": {administrator}}, ""
	if code != nil { // the page is one that the answer names
		form.Set("user_code", code[2])
		shown = code[1]
	} else {
		shown = page[1]
	}
	at, err := url.Parse(shown)
	if err != nil || code == nil && at.Host != m.login {
		t.Fatalf("the page is %s, %v", shown, err)
	}
	for _, scope := range strings.Fields(at.Query().Get("scope")) {
		if !strings.HasPrefix(scope, "https://"+m.graph+"/") {
			t.Errorf("a browser is sent for %s", scope)
		}
	}
	request, err := http.NewRequest(http.MethodPost, sim+at.RequestURI(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = m.graph // as serve does
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := http.DefaultClient.Do(request) // follows the way back to the program
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
}
