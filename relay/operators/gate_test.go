package operators

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/access"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

const testBase = "http://localhost:9025"

// site is a gate with a handler behind it that says who asks.
type site struct {
	t       *testing.T
	state   *State
	handler http.Handler
	audits  *audits
	logs    *bytes.Buffer
}

// audits are what a gate has recorded.
type audits struct {
	mu   sync.Mutex
	byID map[string]queue.Audit
}

func (a *audits) record(_ context.Context, audit queue.Audit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byID[audit.ID] = audit
	return nil
}

// all returns the audits without what changes with each run, sorted.
func (a *audits) all() (lines []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, audit := range a.byID {
		lines = append(lines, fmt.Sprintf("%s|%s|%s|%d", audit.By, audit.Action, audit.On, audit.Changed))
	}
	slices.Sort(lines)
	return lines
}

// newSite returns a site with a configuration, of which admin.address and url have defaults. A
// site before it is that of an earlier configuration of the same relay.
func newSite(t *testing.T, cfg config.Admin, before ...*site) *site {
	t.Helper()
	cfg.Address = cmp.Or(cfg.Address, "127.0.0.1:9025")
	s := &site{t: t, logs: &bytes.Buffer{}, audits: &audits{byID: map[string]queue.Audit{}}}
	if s.state = NewState(access.NewVerifications(), s.audits.record); len(before) > 0 {
		s.state, s.audits = before[0].state, before[0].audits
	}
	s.state.Configure(5, 15*time.Minute)
	mux := http.NewServeMux()
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, Of(r.Context()).String()) })
	mux.Handle(ConsolePath, Require(Viewer, who))
	mux.Handle(ConsolePath+"act", Require(Operator, who))
	mux.Handle(ConsolePath+"configure", Require(Admin, who))
	mux.Handle(APIPath, Require(Viewer, who))
	mux.Handle(APIPath+"act", Require(Operator, who))
	mux.Handle(APIPath+"configure", Require(Admin, who))
	s.handler = New(Config{Admin: cfg, State: s.state, Log: slog.New(slog.NewTextHandler(s.logs, nil))}).Handler(mux)
	return s
}

func (*site) log() *slog.Logger { return slog.New(slog.DiscardHandler) }

// link returns the path of a new link of root's.
func (s *site) link() string {
	return LinkPath(s.state.Link(context.Background(), "root", 0, s.log()))
}

// browser keeps the cookies of a site.
type browser struct {
	*site
	base    string
	address string
	cookies map[string]*http.Cookie
	header  http.Header
}

func (s *site) browser() *browser {
	return &browser{s, testBase, "127.0.0.1", map[string]*http.Cookie{}, http.Header{}}
}

func (b *browser) do(method, path string, form url.Values) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(method, b.base+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = b.address + ":40000"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w.Result()
}

func (b *browser) get(path string) *http.Response { return b.do(http.MethodGet, path, nil) }

// want checks the status of an answer and what it holds, and returns its text.
func want(t *testing.T, r *http.Response, status int, part string) string {
	t.Helper()
	body, _ := io.ReadAll(r.Body)
	if text := string(body) + r.Header.Get("Location") + r.Header.Get("Hx-Redirect"); r.StatusCode != status || !strings.Contains(text, part) {
		t.Errorf("%d: %.300s, want %d with %q", r.StatusCode, text, status, part)
	}
	return string(body)
}

// A link signs one browser in, once and for a time, and a reload that makes another gate ends no
// session.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, config.Admin{})
		b := s.browser()
		want(t, b.get("/console/messages?state=held"), http.StatusSeeOther, "/console/sign-in?next=%2Fconsole%2Fmessages%3Fstate%3Dheld")
		want(t, b.get("/api/v1/messages"), http.StatusUnauthorized, `"status":401`)
		link := s.link()
		b.header.Set("Sec-Purpose", "prefetch;prerender")
		want(t, b.get(link), http.StatusForbidden, "")
		b.header.Del("Sec-Purpose")
		want(t, b.do(http.MethodHead, link, nil), http.StatusForbidden, "")
		want(t, b.get(link), http.StatusSeeOther, "/console/")
		want(t, b.get("/console/configure"), http.StatusOK, "root (console link, 127.0.0.1)")
		want(t, b.get("/api/v1/messages"), http.StatusOK, "root (console link, 127.0.0.1)")
		want(t, s.browser().get(link), http.StatusForbidden, "was used before")
		want(t, s.browser().get(LinkPath("")), http.StatusForbidden, "was used before")
		old := s.link()
		time.Sleep(LinkLife)
		want(t, s.browser().get(old), http.StatusForbidden, "was used before")

		reloaded := b
		reloaded.site = newSite(t, config.Admin{}, s)
		want(t, reloaded.get("/console/"), http.StatusOK, "root")
		time.Sleep(sessionIdle)
		want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")
	})
}

// A session ends after a time even if it is used, and when its user signs out, also for whoever
// has copied the cookie.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, config.Admin{})
		b, thief := s.browser(), s.browser()
		b.get(s.link())
		for range int(sessionLength/sessionIdle)*2 - 1 {
			time.Sleep(sessionIdle / 2)
			want(t, b.get("/console/"), http.StatusOK, "root")
		}
		time.Sleep(sessionIdle / 2)
		want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")

		b.get(s.link())
		for name, c := range b.cookies {
			thief.cookies[name] = c
		}
		want(t, thief.get("/console/"), http.StatusOK, "root")
		want(t, b.get(signOutPath), http.StatusOK, "root") // nothing happens
		want(t, b.do(http.MethodPost, signOutPath, nil), http.StatusSeeOther, signInPath)
		if len(b.cookies) != 0 {
			t.Error("the browser keeps the cookie")
		}
		want(t, thief.get("/console/"), http.StatusSeeOther, "sign-in")
	})
}

// A sign-in gives another session than the one that was there, which ends: who had set or seen
// that cookie has nothing.
func TestSessionFixation(t *testing.T) {
	s := newSite(t, config.Admin{})
	victim, attacker := s.browser(), s.browser()
	attacker.get(s.link())
	for name, c := range attacker.cookies {
		victim.cookies[name] = c
	}
	victim.get(s.link())
	want(t, victim.get("/console/"), http.StatusOK, "root")
	want(t, attacker.get("/console/"), http.StatusSeeOther, "sign-in")
	invented := s.browser()
	invented.cookies["x"] = &http.Cookie{Name: "graphrelay-9025", Value: "invented"}
	want(t, invented.get("/console/"), http.StatusSeeOther, "sign-in")
	invented.get(s.link())
	if got := invented.cookies["graphrelay-9025"].Value; got == "invented" {
		t.Error("the session has a name that the browser chose")
	}
}

// The cookie is sent to this host alone, over TLS where there is TLS, and no script reads it.
func TestCookie(t *testing.T) {
	for base, want := range map[string]string{
		"":                                "graphrelay-9025=V; Path=/; HttpOnly; SameSite=Lax",
		"https://localhost:9025":          "__Host-graphrelay=V; Path=/; HttpOnly; Secure; SameSite=Lax",
		"https://relay.contoso.test:9025": "__Host-graphrelay=V; Path=/; HttpOnly; Secure; SameSite=Lax",
		"http://localhost":                "graphrelay-80=V; Path=/; HttpOnly; SameSite=Lax",
		"http://[::1]":                    "graphrelay-80=V; Path=/; HttpOnly; SameSite=Lax",
	} {
		s := newSite(t, config.Admin{URL: base})
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, s.link(), nil)
		s.handler.ServeHTTP(w, r)
		cookies := w.Result().Cookies()
		if len(cookies) != 1 {
			t.Errorf("%s: %v", base, cookies)
			continue
		}
		c := cookies[0]
		if c.Value, c.Raw = "V", ""; c.String() != want {
			t.Errorf("%s: %s", base, c.String())
		}
	}
}

// The bounds hold, and one person's sessions do not end another's.
func TestSessionsAreBounded(t *testing.T) {
	s := newSessions()
	anna := s.begin(Person{Name: "anna"}, "")
	var own []string
	for range 3 * maxOwn {
		own = append(own, s.begin(Person{Name: "bob"}, ""))
	}
	if _, ok := s.find(own[len(own)-1]); !ok || len(s.byHash) != maxOwn+1 {
		t.Errorf("%d sessions", len(s.byHash))
	}
	for n := range 3 * maxSessions {
		s.begin(Person{Name: fmt.Sprint("person ", n%(maxSessions/2))}, "")
	}
	if _, ok := s.find(anna); !ok || len(s.byHash) != maxSessions {
		t.Errorf("%d sessions; hers: %t", len(s.byHash), ok)
	}
	for range 3 * maxLinks {
		s.link(Person{Name: "root"}, time.Hour)
	}
	if s.links.Len() > maxLinks {
		t.Errorf("%d links", s.links.Len())
	}
}

// Nothing that changes something is done for a page of another site, whatever the method.
func TestCrossSite(t *testing.T) {
	s := newSite(t, config.Admin{})
	b := s.browser()
	b.get(s.link())
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		for _, path := range []string{"/console/act", "/api/act", signOutPath} {
			for name, header := range map[string]http.Header{
				"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "another port": {"Sec-Fetch-Site": {"same-site"}},
				"origin": {"Origin": {"https://evil.test"}}, "port in origin": {"Origin": {"http://localhost:8080"}}, "no origin": {"Origin": {"null"}},
				"htmx": {"Sec-Fetch-Site": {"cross-site"}, "Hx-Request": {"true"}},
			} {
				if b.header = header; b.do(method, path, nil).StatusCode != http.StatusForbidden {
					t.Errorf("%s %s is served to %s", method, path, name)
				}
			}
		}
	}
	b.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	want(t, b.do(http.MethodPost, "/console/act", nil), http.StatusOK, "root")
}

// Each answer has the headers that keep a page from doing more than it should.
func TestHeaders(t *testing.T) {
	s := newSite(t, config.Admin{})
	b := s.browser()
	refused := newSite(t, config.Admin{Address: "0.0.0.0:9025"}).browser()
	want(t, refused.get("/console/"), http.StatusForbidden, "Add admin.tls to the configuration")
	want(t, refused.get("/api/"), http.StatusForbidden, `"detail":"The console and the API are not served here`)
	for _, r := range []*http.Response{b.get("/console/"), b.get(signInPath), b.get("/api/"), b.get("/api/none"), refused.get("/console/")} {
		for name, value := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if !strings.Contains(r.Header.Get(name), value) {
				t.Errorf("%s is %q", name, r.Header.Get(name))
			}
		}
		if policy := r.Header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("policy %q", policy)
		}
	}
}

// Browsers are told to use TLS alone where the host has no other port for people.
func TestStrictTransport(t *testing.T) {
	for base, strict := range map[string]bool{"https://relay.contoso.test": true, "https://relay.contoso.test:9025": false, "http://localhost:9025": false} {
		if got := newSite(t, config.Admin{URL: base}).browser().get(signInPath).Header.Get("Strict-Transport-Security") != ""; got != strict {
			t.Errorf("%s: %t", base, got)
		}
	}
}

// htmx leads its page to the sign-in, and back.
func TestFragment(t *testing.T) {
	b := newSite(t, config.Admin{}).browser()
	b.header = http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"http://localhost:9025/console/messages?q=1"}}
	want(t, b.do(http.MethodPost, "/console/act", nil), http.StatusUnauthorized, "/console/sign-in?next=%2Fconsole%2Fmessages%3Fq%3D1")
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"": ConsolePath, "/console/messages?q=a%20b&x=%2F": "/console/messages?q=a%20b&x=%2F", "/console/": ConsolePath,
		"https://evil.test/console/": ConsolePath, "//evil.test/console/": ConsolePath, "/\\evil.test": ConsolePath, "/console/\\evil.test": ConsolePath,
		"javascript:alert(1)": ConsolePath, "/console/../../evil": "/console/../../evil", "/metrics": ConsolePath, "/console/a\r\nSet-Cookie: x": ConsolePath,
		"/console/sign-in?next=x": ConsolePath, " /console/": ConsolePath, "/console/sign-out": "/console/sign-out",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}
