package operators

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/look"
	"graphrelay/relay/access"
	"graphrelay/relay/config"
)

// The paths below which everything needs a person who has signed in.
const (
	ConsolePath = "/console/"
	APIPath     = "/api/"

	signInPath  = "/console/sign-in"
	signOutPath = "/console/sign-out"
	linkPath    = "/console/link"
	beginPath   = "/console/oidc/begin"

	// CallbackPath is where an identity provider sends browsers back.
	CallbackPath = "/console/oidc/callback"
)

// Config is what a Gate decides from.
type Config struct {
	Admin config.Admin
	State *State // outlives the Gate
	Log   *slog.Logger
}

// Gate lets persons in who have signed in. It is for one configuration.
type Gate struct {
	Config
	base      string // the URL of the admin address
	secure    bool   // base is https
	port      string // of base
	operators map[string]config.Operator
	signIns   *access.SignIns
	tokens    []token
	oidc      *provider // nil: nobody signs in with OpenID Connect
	// grants are what lets persons in, as sessions remember it: a session whose grant is not here
	// has ended, since its operator was removed or changed.
	grants map[string]bool
}

// linkGrant is the grant of sessions that a link began.
const linkGrant = "link"

// New returns a gate.
func New(cfg Config) *Gate {
	g := &Gate{Config: cfg, base: cfg.Admin.BaseURL(), operators: map[string]config.Operator{}, grants: map[string]bool{linkGrant: true}}
	g.secure, g.port = strings.HasPrefix(g.base, "https://"), "80"
	if base, err := url.Parse(g.base); err == nil && base.Port() != "" {
		g.port = base.Port()
	}
	var hashes []string
	for _, o := range cfg.Admin.Operators {
		g.operators[o.Name] = o
		g.grants[operatorGrant(o)] = true
		hashes = append(hashes, o.PasswordHash.Reveal())
	}
	g.signIns = access.NewSignIns(cfg.State.guard, cfg.State.verify, hashes)
	for _, t := range cfg.Admin.Tokens {
		g.tokens = append(g.tokens, newToken(t))
	}
	if cfg.Admin.OIDC.Enabled() {
		g.oidc = newProvider(cfg.Admin.OIDC, g.base+CallbackPath)
		g.grants[g.oidc.grant] = true
	}
	return g
}

// grantOf returns a grant that changes with each of parts.
func grantOf(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:])
}

func operatorGrant(o config.Operator) string {
	return grantOf("operator", o.Name, o.PasswordHash.Reveal(), string(o.Role))
}

// Handler returns a handler that serves h to persons who have signed in, and the pages on which
// they do.
func (g *Gate) Handler(h http.Handler) http.Handler {
	if why := g.Admin.ConsoleRefused(); why != "" {
		return g.headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, http.StatusForbidden, why) }))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+signInPath, g.form)
	mux.HandleFunc("POST "+signInPath, g.slowly(g.signIn))
	mux.HandleFunc("POST "+signOutPath, g.signOut)
	mux.HandleFunc("GET "+linkPath, g.followLink)
	if g.oidc != nil {
		mux.HandleFunc("GET "+beginPath, g.slowly(g.beginOIDC))
		mux.HandleFunc("GET "+CallbackPath, g.slowly(g.finishOIDC))
	}
	mux.Handle("/", g.signedIn(h))
	return g.headers(g.ownPages(mux))
}

// ownPages refuses what changes something and comes from a page of another site.
func (g *Gate) ownPages(h http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	if base, err := url.Parse(g.base); err == nil {
		_ = protection.AddTrustedOrigin(base.Scheme + "://" + base.Host) // a proxy may change the Host header
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusForbidden, "This request came from a page of another site, or through a proxy that changes the Host header; in that case set admin.url to the address in your browser.")
	}))
	return protection.Handler(h)
}

// headers adds what every answer has. Strict transport security holds for every port of a host, so
// it is asked for only where the console has the host to itself.
func (g *Gate) headers(h http.Handler) http.Handler {
	base, err := url.Parse(g.base)
	strict := err == nil && base.Scheme == "https" && base.Port() == ""
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", look.Policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin") // without it, browsers send no Origin with forms
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if strict {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		h.ServeHTTP(w, r)
	})
}

// signedIn serves h to persons who have signed in. Who may only see changes nothing.
func (g *Gate) signedIn(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := g.person(r)
		if p.Role == None {
			g.askToSignIn(w, r)
			return
		}
		r = r.WithContext(With(r.Context(), p))
		if changes(r) && p.Role < Operator { // whatever the handler asks for
			Require(Operator, h).ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// changes reports whether a request may change something (RFC 9110 section 9.2.1).
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// person returns who makes a request: the one of the token if there is one, else of the session.
func (g *Gate) person(r *http.Request) Person {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(r.URL.Path, APIPath) { // RFC 9110 section 11.1
		p := g.personOfToken(given)
		p.From = g.client(r)
		if p.Role == None {
			g.State.audit.refused(r.Context(), g.Log, Person{Way: ByToken, From: p.From})
		}
		return p
	}
	c, err := r.Cookie(g.cookieName(""))
	if err != nil {
		return Person{}
	}
	s, ok := g.State.sessions.find(c.Value)
	if !ok || !g.grants[s.grant] {
		return Person{}
	}
	s.person.From = g.client(r)
	return s.person
}

// client returns the address of the client. A proxy of the configuration says whose request it
// passes on, in the last entry that is not itself such a proxy.
func (g *Gate) client(r *http.Request) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := remote.Addr().Unmap().WithZone("")
	passed := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(passed) - 1; i >= 0 && g.isProxy(client); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(passed[i]))
		if err != nil {
			break
		}
		client = next.Unmap().WithZone("")
	}
	return client
}

func (g *Gate) isProxy(a netip.Addr) bool {
	return slices.ContainsFunc(g.Admin.ProxyNetworks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// askToSignIn answers a request of someone who has not signed in: a browser is led to the page on
// which to do so, and htmx leads its page there.
func (g *Gate) askToSignIn(w http.ResponseWriter, r *http.Request) {
	htmx := r.Header.Get("HX-Request") != ""
	if !strings.HasPrefix(r.URL.Path, ConsolePath) || r.Method != http.MethodGet && !htmx {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, r, http.StatusUnauthorized, "Sign in at "+g.base+ConsolePath+", or send a token of admin.tokens, as in Authorization: Bearer TOKEN.")
		return
	}
	if !htmx {
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

// cookieName returns the name of the session's cookie, or of another. With TLS only this very host
// can set it, over TLS alone (the prefix __Host-, RFC 6265bis section 4.1.3.2). Without, as on
// loopback, the name has the port: browsers do not tell cookies of two ports apart.
func (g *Gate) cookieName(of string) string {
	if g.secure {
		return "__Host-graphrelay" + of
	}
	return "graphrelay" + of + "-" + g.port
}

// setCookie sets a cookie; an empty value removes it. Lax, not Strict, lets links in mail and
// chat lead to the page that they name; what changes something is refused to other sites anyway.
func (g *Gate) setCookie(w http.ResponseWriter, of, value string, life time.Duration) {
	c := &http.Cookie{Name: g.cookieName(of), Value: value, Path: "/", Secure: g.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
