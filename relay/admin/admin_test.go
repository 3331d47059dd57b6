package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/sealed"
)

func TestReady(t *testing.T) {
	var down error
	var notices []string
	s := New(Config{
		Registry: prometheus.NewRegistry(), Ready: func() error { return down }, Notices: func() []string { return notices },
		Log: slog.New(slog.DiscardHandler),
	})
	get := func(path string) string {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		body, _ := io.ReadAll(w.Body)
		return fmt.Sprintf("%d %s", w.Code, body)
	}
	for _, c := range []struct {
		down       error
		notices    []string
		path, want string
	}{
		{nil, nil, "/readyz", "200 ready\n"},
		{nil, []string{"renew it"}, "/readyz", "200 ready\nrenew it\n"},
		{errors.New("disk full"), nil, "/readyz", "503 not ready: disk full\n"},
		{errors.New("disk full"), nil, "/healthz", "200 ok\n"},
		{nil, nil, "/connect", "404 404 page not found\n"},
	} {
		if down, notices = c.down, c.notices; get(c.path) != c.want {
			t.Errorf("%s: %q, want %q", c.path, get(c.path), c.want)
		}
	}
}

// Nothing is served under another name that leads here.
func TestServes(t *testing.T) {
	const base = "https://relay.contoso.test:8443"
	s := New(Config{Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Notices: func() []string { return nil },
		Connect: &ConnectPage{BaseURL: base}, BaseURL: base, Log: slog.New(slog.DiscardHandler)})
	for host, want := range map[string]bool{
		"relay.contoso.test:8443": true, "Relay.Contoso.test:8443": true, "localhost:9025": true, "localhost": true, "": true,
		"127.0.0.1:9025": true, "[::1]:9025": true, "[::1]": true,
		"relay.contoso.test": false, "evil.test:8443": false, "192.0.2.1:9025": false, "localhost.evil.test": false,
	} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/connect", "/other"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			s.http.Handler.ServeHTTP(w, r)
			if got := w.Code != http.StatusForbidden; got != want {
				t.Errorf("%s of %q: %d", path, host, w.Code)
			}
		}
	}
}

// Where other machines reach the server it may be called by any IP address, but by no other name.
func TestServesBeyondLoopback(t *testing.T) {
	s := New(Config{Registry: prometheus.NewRegistry(), BaseURL: "http://localhost:9025", Beyond: true, Log: slog.New(slog.DiscardHandler)})
	for host, want := range map[string]int{"192.0.2.1:9025": 200, "[2001:db8::1]:9025": 200, "localhost:9025": 200, "evil.test:9025": 403, "192.0.2.1.evil.test": 403} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}

// testSignIn is a sign-in that always succeeds.
type testSignIn struct {
	SignIn
	mailbox string
}

func (s testSignIn) Mailbox() string      { return s.mailbox }
func (testSignIn) Shared() bool           { return false }
func (testSignIn) Account() string        { return "" }
func (s testSignIn) Served() bool         { return !strings.HasSuffix(s.mailbox, "@elsewhere.test") }
func (testSignIn) Domains() []string      { return nil }
func (testSignIn) ConnectionName() string { return "owners" }
func (testSignIn) AuthURL(redirect, state, verifier string) string {
	return "https://login.test/?" + url.Values{"state": {state}, "verifier": {verifier}, "redirect_uri": {redirect}}.Encode()
}
func (s testSignIn) Exchange(_ context.Context, _, code, _ string) error {
	if code != "good" {
		return errors.New("bad code")
	}
	return nil
}

func (s testSignIn) MakeUser(context.Context) (name, password string, err error) {
	return s.mailbox, "secret", nil
}

func testPage(key ConnectKey) http.Handler {
	return New(Config{Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Connect: &ConnectPage{
		BaseURL: "http://localhost:9025", Key: key, Log: slog.New(slog.DiscardHandler),
		Begin: func(_, mailbox string, _ bool) (SignIn, error) { return testSignIn{mailbox: mailbox}, nil },
	}}).http.Handler
}

// begin returns the state and the cookies of a sign-in that was begun.
func begin(t *testing.T, h http.Handler, mailbox string) (state string, cookies []*http.Cookie) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost:9025/connect", strings.NewReader(url.Values{"mailbox": {mailbox}, "user": {"1"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	to, err := url.Parse(w.Header().Get("Location"))
	if w.Code != http.StatusSeeOther || err != nil {
		t.Fatalf("begin: %d, %v", w.Code, err)
	}
	if text := fmt.Sprint(w.Result().Cookies()); strings.Contains(text, to.Query().Get("verifier")) || strings.Contains(text, mailbox) {
		t.Error("the cookie can be read")
	}
	return to.Query().Get("state"), w.Result().Cookies()
}

func callback(h http.Handler, state string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost:9025/connect/callback?code=good&state="+state, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Sign-ins that are begun and left keep nobody from another, neither before nor after it is
// begun. A sign-in is the browser's that began it, for ten minutes, over a reload too.
func TestPendingSignIns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := sealed.NewKey()
		h := testPage(key)
		state, cookies := begin(t, h, "anna@contoso.test")
		for range 3000 {
			begin(t, h, "left@contoso.test")
		}
		otherState, otherCookies := begin(t, h, "bob@contoso.test")
		stranger, strangersCookies := begin(t, testPage(sealed.NewKey()), "eve@contoso.test")
		for name, w := range map[string]*httptest.ResponseRecorder{
			"no cookie": callback(h, state), "another's cookie": callback(h, state, otherCookies...), "another's state": callback(h, otherState, cookies...),
			"another relay's": callback(h, stranger, strangersCookies...), "nonsense": callback(h, state, &http.Cookie{Name: browserName, Value: "x"}),
			"no state": callback(h, "", cookies...),
		} {
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "was not started in this browser") {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		if w := callback(testPage(key), state, cookies...); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "anna@contoso.test") || w.Result().Cookies()[0].MaxAge >= 0 {
			t.Errorf("the sign-in: %d, %v", w.Code, w.Result().Cookies())
		}
		time.Sleep(signInTime + time.Second)
		if w := callback(h, otherState, otherCookies...); w.Code != http.StatusBadRequest {
			t.Errorf("after ten minutes: %d", w.Code)
		}
	})
}

// countingCollector takes a while.
type countingCollector struct{ times *atomic.Int32 }

func (countingCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- prometheus.NewDesc("test_collected", "", nil, nil)
}

func (c countingCollector) Collect(ch chan<- prometheus.Metric) {
	n := c.times.Add(1)
	time.Sleep(100 * time.Millisecond)
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("test_collected", "", nil, nil), prometheus.GaugeValue, float64(n))
}

// However many clients scrape, the metrics are collected for a tenth of the time, and nobody
// is told what was so before the request.
func TestScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times atomic.Int32
		registry := prometheus.NewRegistry()
		registry.MustRegister(countingCollector{&times})
		h := New(Config{Registry: registry, Log: slog.New(slog.DiscardHandler)}).http.Handler
		scrape := func() (int, string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil))
			return w.Code, w.Body.String()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range maxSameRequests - 1 {
			all.Go(func() {
				for ctx.Err() == nil {
					before := times.Load()
					code, text := scrape()
					n := 0
					_, _ = fmt.Sscanf(text[strings.LastIndex(text, "test_collected ")+len("test_collected "):], "%d", &n)
					if code != http.StatusOK || n <= int(before) {
						t.Errorf("%d, collection %d after %d", code, n, before)
					}
				}
			})
		}
		all.Wait()
		if n := times.Load(); n < 15 || n > 25 {
			t.Errorf("collected %d times in 20 seconds", n)
		}
		busy := make(chan struct{}, maxSameRequests)
		for range 2*maxSameRequests - 1 {
			all.Go(func() {
				if code, _ := scrape(); code == http.StatusServiceUnavailable {
					busy <- struct{}{}
				}
			})
		}
		all.Wait()
		if len(busy) != maxSameRequests-1 {
			t.Errorf("%d were sent away", len(busy))
		}
		time.Sleep(time.Minute)
	})
}

// slowForm begins to post a form. It returns once the server reads the form.
func slowForm(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, "POST /connect HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("a slow form is answered %q, %v", line, err)
	}
	return c
}

// Forms that come slowly keep no one else from the page, nor from health checks.
func TestSlowForms(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Notices: func() []string { return nil },
		Connect: &ConnectPage{BaseURL: "http://" + l.Addr().String()}, BaseURL: "http://" + l.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	s.http.ReadTimeout = time.Hour // so that no form ends by itself
	go func() { _ = s.Serve(l) }()
	defer s.http.Close()
	get := func(path string) {
		t.Helper()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", path, resp.Status)
		}
	}
	for range maxSameRequests {
		slowForm(t, l.Addr().String())
	}
	get("/connect")
	for range maxConnections {
		slowForm(t, l.Addr().String())
	}
	get("/readyz")
	get("/connect")
}

// A form that names as many recipients as a message may have is taken, and one that is too large is
// refused.
func TestLargeForm(t *testing.T) {
	form := func(text string) (w *httptest.ResponseRecorder) {
		w = httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "http://localhost:9025/connect", strings.NewReader("mailbox="+text))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		testPage(sealed.NewKey()).ServeHTTP(w, r)
		return w
	}
	if w := form(strings.Repeat("firstname.lastname%40subsidiary.contoso.test%0D%0A", 500)); w.Code != http.StatusSeeOther {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := form(strings.Repeat("x", MaxBody)); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "too large") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// countingListener counts the connections that are open.
type countingListener struct {
	net.Listener
	open, most atomic.Int32
}

type countedConn struct {
	net.Conn
	of   *countingListener
	once sync.Once
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if n := l.open.Add(1); n > l.most.Load() { // one goroutine accepts
		l.most.Store(n)
	}
	return &countedConn{Conn: c, of: l}, nil
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.Conn.Close()
}

// Connections without a request make room for others, oldest first.
func TestAdminConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Notices: func() []string { return nil }, Log: slog.New(slog.DiscardHandler)})
	counted := &countingListener{Listener: l}
	served := make(chan error, 1)
	go func() { served <- s.Serve(counted) }()
	var idle []net.Conn
	for range 2 * maxConnections {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: loc") // a header that does not end
		idle = append(idle, c)
	}
	resp, err := http.Get("http://" + l.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz answers %s", resp.Status)
	}
	if n := counted.most.Load(); n > maxConnections+1 {
		t.Errorf("%d connections were open at a time", n)
	}
	for i, c := range idle[:maxConnections] {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute)) // a guard, not a measure
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d is open: %v", i, err)
		}
	}
	s.Shutdown(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestUnservedMailbox checks that the page promises nothing for a mailbox whose domain is in no
// connection.
func TestUnservedMailbox(t *testing.T) {
	h := testPage(sealed.NewKey())
	for mailbox, want := range map[string]bool{"anna@contoso.test": false, "anna@elsewhere.test": true} {
		state, cookies := begin(t, h, mailbox)
		w := callback(h, state, cookies...)
		if got := strings.Contains(w.Body.String(), `id="unserved"`) && strings.Contains(w.Body.String(), "the connection owners"); got != want {
			t.Errorf("%s: %s", mailbox, w.Body.String())
		}
	}
}

// A host that holds all connections, even with requests that it never ends, makes room for another
// host, and for itself only by what it does not use.
func TestConnectionsAreShared(t *testing.T) {
	conn := func(l *limitedListener, host string, serving bool, age time.Duration) *limitedConn {
		return &limitedConn{listener: l, host: netip.MustParsePrefix(host), serving: serving, since: time.Unix(1e9, 0).Add(-age)}
	}
	const greedy, other = "192.0.2.1/32", "192.0.2.2/32"
	for _, c := range []struct {
		name    string
		greedy  int // connections of one host; the other has the rest
		serving bool
		from    string
		evicted bool // a connection is closed
	}{
		{"idle, for another", maxConnections, false, other, true},
		{"idle, for itself", maxConnections, false, greedy, true},
		{"busy, for another", maxConnections, true, other, true},
		{"busy, for itself", maxConnections, true, greedy, false},
		{"busy, for one who has a few", maxConnections - 4, true, other, true},
		{"busy, for one who has as many", maxConnections / 2, true, other, false},
		{"idle, for a third", maxConnections / 2, false, "198.51.100.1/32", true},
	} {
		l := &limitedListener{open: map[*limitedConn]struct{}{}}
		for n := range maxConnections {
			host := greedy
			if n >= c.greedy {
				host = other
			}
			l.open[conn(l, host, c.serving, time.Duration(n)*time.Second)] = struct{}{}
		}
		evicted, ok := l.add(conn(l, c.from, false, 0))
		if ok != c.evicted || (evicted != nil) != c.evicted || evicted != nil && c.greedy > maxConnections/2 && evicted.host.String() != greedy {
			t.Errorf("%s: %v, %t", c.name, evicted, ok)
		}
		if len(l.open) != maxConnections {
			t.Errorf("%s: %d connections", c.name, len(l.open))
		}
	}
	crowd := &limitedListener{open: map[*limitedConn]struct{}{}}
	var idle *limitedConn
	for n := range maxConnections {
		c := conn(crowd, fmt.Sprintf("10.0.0.%d/32", n), n != 7, 0)
		if crowd.open[c] = struct{}{}; n == 7 {
			idle = c
		}
	}
	if evicted, _ := crowd.add(conn(crowd, other, false, 0)); evicted != idle {
		t.Errorf("of as many hosts as connections, %v makes room", evicted)
	}
}
