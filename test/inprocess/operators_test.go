package inprocess

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/relay/config"
)

// beyond returns the configuration of a relay whose admin address other machines reach with TLS,
// with an operator anna who has the role and whose password is anna.
func beyond(t *testing.T, dir, graph string, role config.Role) *config.Config {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("anna"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Settings(t, dir, graph, "")
	cfg.Admin.Address, cfg.Admin.URL = "0.0.0.0:0", "https://relay.test:9025"
	cfg.Admin.TLS = config.AdminTLS{CertFile: filepath.Join(dir, "relay.crt"), KeyFile: filepath.Join(dir, "relay.key"), TLSMin: config.TLS12}
	cfg.Admin.Operators = []config.Operator{{Name: "anna", PasswordHash: config.NewSecret(string(hash)), Role: role}}
	return cfg
}

func writeServerCert(t *testing.T, a *testcert.Authority, dir string) {
	t.Helper()
	key := testcert.NewKey(t)
	testcert.WriteKey(t, filepath.Join(dir, "relay.key"), key)
	testcert.WriteCert(t, filepath.Join(dir, "relay.crt"), a.Server(key, time.Now().Add(time.Hour)))
}

// operator is a browser that trusts an authority and follows no redirects.
func operator(t *testing.T, authority *testcert.Authority, offer *tls.Config) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	offer.RootCAs = authority.Pool
	return &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: offer, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask requests a path under a host, and returns the status and the body.
func ask(t *testing.T, c *http.Client, method, base, path, host string, form url.Values) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, base+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if r.Host = host; form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// Beyond loopback operators sign in over TLS. A reload keeps their sessions, unless it changes them,
// and takes a renewed certificate; another host gets nothing.
func TestOperatorsBeyondLoopback(t *testing.T) {
	t.Parallel()
	_, graph := Simulate(t, simulator.Options{})
	dir := t.TempDir()
	authority := testcert.NewAuthority(t)
	writeServerCert(t, authority, dir)
	cfg := beyond(t, dir, graph, config.RoleViewer)
	r := Run(t, cfg, t.Output())
	_, port, _ := strings.Cut(r.Address(cfg.Admin.Address), ":")
	base := "https://127.0.0.1:" + port
	anna := operator(t, authority, &tls.Config{ServerName: "relay.test"})
	get := func(path string) int {
		t.Helper()
		status, _ := ask(t, anna, http.MethodGet, base, path, "relay.test:9025", nil)
		return status
	}
	if status := get("/console/"); status != http.StatusSeeOther {
		t.Errorf("before the sign-in: %d", status)
	}
	status, body := ask(t, anna, http.MethodPost, base, "/console/sign-in", "relay.test:9025", url.Values{"name": {"anna"}, "password": {"anna"}})
	if status != http.StatusSeeOther {
		t.Fatalf("the sign-in: %d %s", status, body)
	}
	if status := get("/console/"); status != http.StatusOK {
		t.Errorf("after the sign-in: %d", status)
	}
	for _, path := range []string{"/console/", "/console/sign-in", "/api/", "/metrics", "/healthz", "/"} {
		if status, _ := ask(t, anna, http.MethodGet, base, path, "evil.test:9025", nil); status != http.StatusForbidden {
			t.Errorf("%s under another name: %d", path, status)
		}
	}
	if status, _ := ask(t, &http.Client{}, http.MethodGet, "http://127.0.0.1:"+port, "/healthz", "", nil); status != http.StatusBadRequest {
		t.Errorf("without TLS: %d", status)
	}
	old := operator(t, authority, &tls.Config{ServerName: "relay.test", MaxVersion: tls.VersionTLS11})
	if resp, err := old.Get(base + "/healthz"); err == nil {
		_ = resp.Body.Close()
		t.Error("TLS 1.1 is accepted")
	}

	renewed := testcert.NewAuthority(t)
	writeServerCert(t, renewed, dir)
	if err := r.Reload(beyondLike(cfg)); err != nil {
		t.Fatal(err)
	}
	jar := anna.Jar
	anna = operator(t, renewed, &tls.Config{ServerName: "relay.test"})
	anna.Jar = jar
	if status := get("/console/"); status != http.StatusOK {
		t.Errorf("after a reload: %d", status)
	}
	changed := beyondLike(cfg)
	changed.Admin.Operators[0].Role = config.RoleAdmin
	if err := r.Reload(changed); err != nil {
		t.Fatal(err)
	}
	if status := get("/console/"); status != http.StatusSeeOther {
		t.Errorf("after her role was changed: %d", status)
	}
	audits, err := r.Store.Audits(t.Context(), 10)
	if err != nil || len(audits) != 1 || audits[0].By != "anna (console, 127.0.0.1)" || audits[0].Action != "sign in" {
		t.Errorf("audits: %v, %+v", err, audits)
	}
}

// beyondLike returns a copy of cfg whose operators can be changed.
func beyondLike(cfg *config.Config) *config.Config {
	other := *cfg
	other.Admin.Operators = append([]config.Operator(nil), cfg.Admin.Operators...)
	return &other
}

// Beyond loopback and without TLS, as in a container, metrics and health are served, and the
// console says why it is not.
func TestMetricsBeyondLoopback(t *testing.T) {
	t.Parallel()
	_, graph := Simulate(t, simulator.Options{})
	cfg := Settings(t, t.TempDir(), graph, "")
	cfg.Admin.Address, cfg.Admin.Hosts = "0.0.0.0:0", []string{"relay"}
	r := Run(t, cfg, t.Output())
	_, port, _ := strings.Cut(r.Address(cfg.Admin.Address), ":")
	for _, c := range []struct {
		path, host string
		status     int
		words      string
	}{
		{"/metrics", "192.0.2.1:9025", http.StatusOK, "graphrelay_"},
		{"/healthz", "relay:9025", http.StatusOK, "ok"},
		{"/readyz", "relay", http.StatusOK, "ready"},
		{"/metrics", "evil.test", http.StatusForbidden, "admin.hosts"},
		{"/console/", "192.0.2.1:9025", http.StatusForbidden, "Add admin.tls to the configuration"},
		{"/console/sign-in", "192.0.2.1:9025", http.StatusForbidden, "Add admin.tls to the configuration"},
		{"/api/v1/messages", "192.0.2.1:9025", http.StatusForbidden, `"status":403`},
	} {
		if status, body := ask(t, &http.Client{}, http.MethodGet, "http://127.0.0.1:"+port, c.path, c.host, nil); status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s of %s: %d %.200s", c.path, c.host, status, body)
		}
	}
	if _, err := r.ConsoleLink("root", 0); err == nil || !strings.Contains(err.Error(), "admin.tls") {
		t.Errorf("a link is made: %v", err)
	}
}

// The link that a command has made signs in, and the metric says when the certificate expires.
func TestConsoleLink(t *testing.T) {
	t.Parallel()
	_, graph := Simulate(t, simulator.Options{})
	dir := t.TempDir()
	authority := testcert.NewAuthority(t)
	writeServerCert(t, authority, dir)
	cfg := Settings(t, dir, graph, "")
	cfg.Admin.TLS = config.AdminTLS{CertFile: filepath.Join(dir, "relay.crt"), KeyFile: filepath.Join(dir, "relay.key"), TLSMin: config.TLS13}
	r := Run(t, cfg, t.Output())
	link, err := r.ConsoleLink("root", 0)
	if err != nil || !strings.HasPrefix(link, "https://localhost:") {
		t.Fatalf("%s, %v", link, err)
	}
	browser := operator(t, authority, &tls.Config{ServerName: "relay.test", MinVersion: tls.VersionTLS13})
	u, _ := url.Parse(link)
	base := "https://" + u.Host
	if status, body := ask(t, browser, http.MethodGet, base, u.RequestURI(), "", nil); status != http.StatusSeeOther {
		t.Fatalf("the link: %d %s", status, body)
	}
	status, body := ask(t, browser, http.MethodGet, base, "/console/", "", nil)
	if status != http.StatusOK || !strings.Contains(body, ">root<") {
		t.Errorf("the console: %d %s", status, body)
	}
	renamed := *cfg
	renamed.Hostname = "mail.contoso.test"
	if err := r.Reload(&renamed); err != nil {
		t.Fatal(err)
	}
	if _, body := ask(t, browser, http.MethodGet, base, "/console/", "", nil); !strings.Contains(body, "mail.contoso.test · graphrelay") {
		t.Errorf("the console does not know the new hostname: %s", body)
	}
	_, metrics := ask(t, browser, http.MethodGet, base, "/metrics", "", nil)
	if series := `graphrelay_tls_certificate_expiry_timestamp_seconds{listener="(admin)"} `; !strings.Contains(metrics, series) {
		t.Errorf("the metrics lack %s", series)
	}
}
