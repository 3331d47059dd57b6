package operators

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testBase = "http://localhost:9025"

// site is a gate with a handler behind it that says who asks.
type site struct {
	t        *testing.T
	sessions *Sessions
	handler  http.Handler
}

func newSite(t *testing.T, cfg Config) *site {
	t.Helper()
	if cfg.Sessions == nil {
		cfg.Sessions = NewSessions()
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = testBase
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, Of(r.Context()).String()) })
	mux.Handle(ConsolePath, Require(Viewer, who))
	mux.Handle(ConsolePath+"act", Require(Operator, who))
	mux.Handle(ConsolePath+"configure", Require(Admin, who))
	mux.Handle(APIPath, Require(Viewer, who))
	mux.Handle(APIPath+"act", Require(Operator, who))
	return &site{t, cfg.Sessions, New(cfg).Handler(mux)}
}

// browser keeps the cookies of a site.
type browser struct {
	*site
	base    string
	cookies map[string]*http.Cookie
	header  http.Header
}

func (s *site) browser() *browser {
	return &browser{s, testBase, map[string]*http.Cookie{}, http.Header{}}
}

func (b *browser) do(method, path string, form url.Values) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(method, b.base+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = "127.0.0.1:40000"
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

func linkOf(token string) string { return linkPath + "?token=" + token }

// A link signs one browser in, once and for a time, and a reload that makes another gate ends no
// session.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Config{})
		b := s.browser()
		want(t, b.get("/console/messages?state=held"), http.StatusSeeOther, "/console/sign-in?next=%2Fconsole%2Fmessages%3Fstate%3Dheld")
		want(t, b.get("/api/v1/messages"), http.StatusUnauthorized, `"status":401`)
		token := s.sessions.Link("root", 0)
		b.header.Set("Sec-Purpose", "prefetch;prerender")
		want(t, b.get(linkOf(token)), http.StatusForbidden, "")
		b.header.Del("Sec-Purpose")
		want(t, b.do(http.MethodHead, linkOf(token), nil), http.StatusForbidden, "")
		want(t, b.get(linkOf(token)), http.StatusSeeOther, "/console/")
		want(t, b.get("/console/configure"), http.StatusOK, "root (console link, 127.0.0.1)")
		want(t, b.get("/api/v1/messages"), http.StatusOK, "root (console link, 127.0.0.1)")
		want(t, s.browser().get(linkOf(token)), http.StatusForbidden, "was used before")
		want(t, s.browser().get(linkOf("")), http.StatusForbidden, "was used before")
		old := s.sessions.Link("root", 0)
		time.Sleep(LinkLife)
		want(t, s.browser().get(linkOf(old)), http.StatusForbidden, "was used before")

		reloaded := b
		reloaded.site = newSite(t, Config{Sessions: s.sessions})
		want(t, reloaded.get("/console/"), http.StatusOK, "root")
		time.Sleep(sessionIdle)
		want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")
	})
}

// A session ends after a time even if it is used, and when its user signs out, also for whoever
// has copied the cookie.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Config{})
		b, thief := s.browser(), s.browser()
		b.get(linkOf(s.sessions.Link("root", 0)))
		for range int(sessionLength/sessionIdle)*2 - 1 {
			time.Sleep(sessionIdle / 2)
			want(t, b.get("/console/"), http.StatusOK, "root")
		}
		time.Sleep(sessionIdle / 2)
		want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")

		b.get(linkOf(s.sessions.Link("root", 0)))
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
	s := newSite(t, Config{})
	victim, attacker := s.browser(), s.browser()
	attacker.get(linkOf(s.sessions.Link("eve", 0)))
	for name, c := range attacker.cookies {
		victim.cookies[name] = c
	}
	victim.get(linkOf(s.sessions.Link("root", 0)))
	want(t, victim.get("/console/"), http.StatusOK, "root")
	want(t, attacker.get("/console/"), http.StatusSeeOther, "sign-in")
	invented := s.browser()
	invented.cookies["x"] = &http.Cookie{Name: "graphrelay-9025", Value: "invented"}
	want(t, invented.get("/console/"), http.StatusSeeOther, "sign-in")
	invented.get(linkOf(s.sessions.Link("root", 0)))
	if got := invented.cookies["graphrelay-9025"].Value; got == "invented" {
		t.Error("the session has a name that the browser chose")
	}
}

func TestCookie(t *testing.T) {
	for base, want := range map[string]string{
		"http://localhost:9025":           "graphrelay-9025=V; Path=/; HttpOnly; SameSite=Lax",
		"https://localhost:9025":          "__Host-graphrelay=V; Path=/; HttpOnly; Secure; SameSite=Lax",
		"https://relay.contoso.test:9025": "__Host-graphrelay=V; Path=/; HttpOnly; Secure; SameSite=Lax",
	} {
		c := sessionCookie(base)
		c.Value = "V"
		if c.String() != want {
			t.Errorf("%s: %s", base, c.String())
		}
	}
}

// The bounds hold, and one person's sessions do not end another's.
func TestSessionsAreBounded(t *testing.T) {
	s := NewSessions()
	anna := s.begin(Person{Name: "anna"}, "")
	var own []string
	for range 3 * maxOwn {
		own = append(own, s.begin(Person{Name: "bob"}, ""))
	}
	if _, ok := s.find(own[len(own)-1]); !ok || len(s.sessions) != maxOwn+1 {
		t.Errorf("%d sessions", len(s.sessions))
	}
	for n := range 3 * maxSessions {
		s.begin(Person{Name: fmt.Sprint("person ", n%(maxSessions/2))}, "")
	}
	if _, ok := s.find(anna); !ok || len(s.sessions) != maxSessions {
		t.Errorf("%d sessions; hers: %t", len(s.sessions), ok)
	}
	for range 3 * maxLinks {
		s.Link("root", 0)
	}
	if s.links.Len() > maxLinks {
		t.Errorf("%d links", s.links.Len())
	}
}

// Nothing that changes something is done for a page of another site, whatever the method.
func TestCrossSite(t *testing.T) {
	s := newSite(t, Config{})
	b := s.browser()
	b.get(linkOf(s.sessions.Link("root", 0)))
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
	s := newSite(t, Config{})
	b := s.browser()
	refused := newSite(t, Config{Refused: "not here"}).browser()
	want(t, refused.get("/console/"), http.StatusForbidden, "not here")
	want(t, refused.get("/api/"), http.StatusForbidden, `"detail":"not here"`)
	for _, r := range []*http.Response{b.get("/console/"), b.get(signInPath), b.get("/api/"), b.get("/api/none"), refused.get("/console/")} {
		for name, value := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
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

// htmx leads its page to the sign-in, and back.
func TestFragment(t *testing.T) {
	b := newSite(t, Config{}).browser()
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
