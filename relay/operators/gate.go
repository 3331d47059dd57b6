package operators

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"graphrelay/internal/look"
)

// The paths of the console and the API that have a meaning here. Everything below the first two
// needs a person who has signed in.
const (
	ConsolePath = "/console/"
	APIPath     = "/api/"

	signInPath  = "/console/sign-in"
	signOutPath = "/console/sign-out"
	linkPath    = "/console/link"
)

// Config is what a Gate decides from.
type Config struct {
	// BaseURL is the address at which browsers reach the console, as of config.Admin.
	BaseURL string
	// Refused is why neither console nor API is served here, in words for people; empty: they are.
	Refused  string
	Sessions *Sessions // outlive the Gate
	Log      *slog.Logger
}

// Gate lets persons in who have signed in.
type Gate struct {
	Config
	cookie http.Cookie // without value
}

// New returns a gate.
func New(cfg Config) *Gate {
	return &Gate{Config: cfg, cookie: sessionCookie(cfg.BaseURL)}
}

// sessionCookie returns the cookie of sessions. With TLS only this very host can set it, and it
// is sent over TLS alone (the prefix __Host-, RFC 6265bis section 4.1.3.2). Without, as on loopback, the name
// has the port: browsers do not tell cookies of two ports apart.
func sessionCookie(baseURL string) http.Cookie {
	c := http.Cookie{Name: "__Host-graphrelay", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if base, err := url.Parse(baseURL); err == nil && base.Scheme == "http" {
		c.Name, c.Secure = "graphrelay-"+base.Port(), false
	}
	return c
}

// Handler returns a handler that serves h to persons who have signed in, and the pages on which
// they do.
func (g *Gate) Handler(h http.Handler) http.Handler {
	if g.Refused != "" {
		return g.headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			refuse(w, r, http.StatusForbidden, g.Refused)
		}))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+signInPath, g.form)
	mux.HandleFunc("POST "+signOutPath, g.signOut)
	mux.HandleFunc("GET "+linkPath, g.followLink)
	mux.Handle("/", g.signedIn(h))
	protection := http.NewCrossOriginProtection()
	if base, err := url.Parse(g.BaseURL); err == nil {
		_ = protection.AddTrustedOrigin(base.Scheme + "://" + base.Host) // a proxy may change the Host header
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusForbidden, "This request came from a page of another site, or through a proxy that changes the Host header; in that case set admin.url to the address in your browser.")
	}))
	return g.headers(protection.Handler(mux))
}

// headers adds what every answer has.
func (g *Gate) headers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", look.Policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// signedIn serves h to persons who have signed in.
func (g *Gate) signedIn(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := g.person(r)
		if p.Role == None {
			g.askToSignIn(w, r)
			return
		}
		h.ServeHTTP(w, r.WithContext(With(r.Context(), p)))
	})
}

// person returns who makes a request.
func (g *Gate) person(r *http.Request) Person {
	c, err := r.Cookie(g.cookie.Name)
	if err != nil {
		return Person{}
	}
	s, ok := g.Sessions.find(c.Value)
	if !ok {
		return Person{}
	}
	s.person.From = g.client(r)
	return s.person
}

// client returns the address of the client.
func (g *Gate) client(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// askToSignIn answers a request of someone who has not signed in: a browser is led to the page on
// which to do so, and htmx leads its page there.
func (g *Gate) askToSignIn(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, ConsolePath) || r.Method != http.MethodGet && r.Header.Get("HX-Request") == "" {
		refuse(w, r, http.StatusUnauthorized, "Sign in at "+g.BaseURL+ConsolePath+" first.")
		return
	}
	if r.Header.Get("HX-Request") == "" {
		http.Redirect(w, r, signInFor(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	page, err := url.Parse(r.Header.Get("HX-Current-URL"))
	if err != nil {
		page = &url.URL{Path: ConsolePath}
	}
	w.Header().Set("HX-Redirect", signInFor(page.RequestURI()))
	w.WriteHeader(http.StatusUnauthorized)
}

// signInFor returns the address of the sign-in that leads on to a path.
func signInFor(next string) string {
	return signInPath + "?" + url.Values{"next": {localPath(next)}}.Encode()
}

// begin begins a session. One that the browser had ends: nobody goes on with a session that
// existed before.
func (g *Gate) begin(w http.ResponseWriter, r *http.Request, p Person, grant string) {
	g.endSession(r)
	c := g.cookie
	c.Value = g.Sessions.begin(p, grant)
	http.SetCookie(w, &c)
	p.From = g.client(r)
	g.Log.Info("operator signed in", "operator", p.String(), "role", p.Role.String())
}

func (g *Gate) endSession(r *http.Request) (Person, bool) {
	c, err := r.Cookie(g.cookie.Name)
	if err != nil {
		return Person{}, false
	}
	return g.Sessions.end(c.Value)
}

func (g *Gate) signOut(w http.ResponseWriter, r *http.Request) {
	if p, ok := g.endSession(r); ok {
		p.From = g.client(r)
		g.Log.Info("operator signed out", "operator", p.String())
	}
	c := g.cookie
	c.MaxAge = -1
	http.SetCookie(w, &c)
	http.Redirect(w, r, signInPath+"?signed-out=1", http.StatusSeeOther)
}

// followLink begins a session with the link that graphrelay console has printed. A browser that
// fetches the page ahead of the user does not use the link up.
func (g *Gate) followLink(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		refuse(w, r, http.StatusForbidden, "Open the link itself.")
		return
	}
	p, ok := g.Sessions.useLink(r.FormValue("token"))
	if !ok {
		g.show(w, http.StatusForbidden, signInView{Error: "This link was used before, or is older than ten minutes. Have a new one made."})
		return
	}
	g.begin(w, r, p, "")
	http.Redirect(w, r, ConsolePath, http.StatusSeeOther)
}

// localPath returns a path of the console that a page names, or that of the console's first page:
// no link to the sign-in leads to another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(next, ConsolePath) ||
		strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(u.Path, signInPath) {
		return ConsolePath
	}
	return u.RequestURI()
}
