package admin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// SignIn is one owner's sign-in with a browser.
type SignIn interface {
	Mailbox() string
	AuthURL(redirect, state, verifier string) string
	Exchange(ctx context.Context, redirect, code, verifier string) error
	// MakeUser makes the mailbox's SMTP user and its password.
	MakeUser(ctx context.Context) (name, password string, err error)
}

// ConnectPage is the page on which owners connect their mailboxes. Anybody who reaches it
// may try: what counts is whom Entra signs in, and what Graph then lets that account see.
type ConnectPage struct {
	Connections []string // that mailboxes can be connected through
	Logins      []string // where browsers sign in for them: scheme and host
	BaseURL     string   // where browsers reach the page, without /connect
	Submission  []string // what a mail program is to be set to, for people
	Begin       func(connection, mailbox string) (SignIn, error)
	Connected   func() // called when a mailbox was connected; may be nil
	Log         *slog.Logger

	mu      sync.Mutex
	pending map[string]*pendingSignIn // by state
}

// pendingSignIn is one whose browser is at Entra's.
type pendingSignIn struct {
	SignIn
	browser  string // of the cookie: a link that somebody else made begins nothing
	verifier string
	user     bool
	until    time.Time
}

const (
	signInTime  = 10 * time.Minute // as long as a code lives
	maxPending  = 1000
	maxForm     = 16 << 10
	browserName = "graphrelay-connect"
)

//go:embed connect.html
var connectSource string

var connectTemplate = template.Must(template.New("connect").Parse(connectSource))

// connectView is what the page shows.
type connectView struct {
	Connections               []string
	Mailbox, Error            string
	Connected, User, Password string
	Submission                []string
}

func (p *ConnectPage) register(mux *http.ServeMux) {
	p.pending = map[string]*pendingSignIn{}
	guarded := http.NewCrossOriginProtection()
	if u, err := url.Parse(p.BaseURL); err == nil {
		_ = guarded.AddTrustedOrigin(u.Scheme + "://" + u.Host) // a proxy may ask for another host
	}
	handle := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, guarded.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !p.knows(r.Host) { // another name that leads here (DNS rebinding)
				answer(w, http.StatusForbidden, "this page is at "+p.BaseURL+"/connect")
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			h(w, r)
		})))
	}
	handle("GET /connect", p.form)
	handle("POST /connect", p.begin)
	handle("GET /connect/callback", p.callback)
}

// knows tells whether the request was made for this page: by the name that the
// configuration gives, or that of this machine.
func (p *ConnectPage) knows(host string) bool {
	if u, err := url.Parse(p.BaseURL); err == nil && strings.EqualFold(u.Host, host) {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	addr, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback()
}

func (p *ConnectPage) redirect() string { return p.BaseURL + "/connect/callback" }

// form shows the page at the address to which Entra leads back: the cookie is known
// there alone. 127.0.0.1 is another than localhost. A proxy may hide what the browser
// asked for.
func (p *ConnectPage) form(w http.ResponseWriter, r *http.Request) {
	if base, err := url.Parse(p.BaseURL); err == nil && base.Hostname() == "localhost" && !strings.EqualFold(r.Host, base.Host) {
		http.Redirect(w, r, p.BaseURL+"/connect", http.StatusFound)
		return
	}
	p.show(w, http.StatusOK, connectView{})
}

// begin leads the owner's browser to Entra.
func (p *ConnectPage) begin(w http.ResponseWriter, r *http.Request) {
	mailbox := r.FormValue("mailbox")
	s, err := p.Begin(r.FormValue("connection"), mailbox)
	if err != nil {
		p.show(w, http.StatusBadRequest, connectView{Mailbox: mailbox, Error: err.Error()})
		return
	}
	state := rand.Text()
	next := &pendingSignIn{SignIn: s, browser: rand.Text(), verifier: oauth2.GenerateVerifier(), user: r.FormValue("user") != "", until: time.Now().Add(signInTime)}
	if !p.remember(state, next) {
		p.show(w, http.StatusServiceUnavailable, connectView{Mailbox: mailbox, Error: "Too many sign-ins are under way; try again in some minutes."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: browserName, Value: next.browser, Path: "/connect", MaxAge: int(signInTime.Seconds()),
		HttpOnly: true, Secure: strings.HasPrefix(p.BaseURL, "https:"), SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, s.AuthURL(p.redirect(), state, next.verifier), http.StatusSeeOther)
}

func (p *ConnectPage) remember(state string, s *pendingSignIn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, old := range p.pending {
		if time.Now().After(old.until) {
			delete(p.pending, key)
		}
	}
	if len(p.pending) >= maxPending {
		return false
	}
	p.pending[state] = s
	return true
}

// take returns a sign-in that this browser began; it can be completed once.
func (p *ConnectPage) take(r *http.Request) *pendingSignIn {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := r.FormValue("state")
	s := p.pending[state]
	cookie, err := r.Cookie(browserName)
	if s == nil || err != nil || time.Now().After(s.until) || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(s.browser)) != 1 {
		return nil
	}
	delete(p.pending, state)
	return s
}

// callback completes the sign-in that the browser comes back from.
func (p *ConnectPage) callback(w http.ResponseWriter, r *http.Request) {
	s := p.take(r)
	if s == nil {
		p.show(w, http.StatusBadRequest, connectView{Error: "This sign-in was not begun in this browser, or took too long. Begin again."})
		return
	}
	view := connectView{Mailbox: s.Mailbox()}
	if e := r.FormValue("error"); e != "" {
		view.Error = fmt.Sprintf("Microsoft did not sign you in (%s). %s", e, r.FormValue("error_description"))
		p.show(w, http.StatusBadRequest, view)
		return
	}
	err := s.Exchange(r.Context(), p.redirect(), r.FormValue("code"), s.verifier)
	if err == nil && p.Connected != nil {
		p.Connected()
	}
	if err == nil && s.user {
		view.User, view.Password, err = s.MakeUser(r.Context())
	}
	if err != nil {
		p.Log.Warn("a mailbox was not connected", "mailbox", s.Mailbox(), "error", err)
		view.Error = err.Error()
		p.show(w, http.StatusBadRequest, view)
		return
	}
	view.Connected, view.Submission = s.Mailbox(), p.Submission
	p.show(w, http.StatusOK, view)
}

func (p *ConnectPage) show(w http.ResponseWriter, status int, v connectView) {
	v.Connections = p.Connections
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // it may show a password
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	// The form leads to Entra, by a redirect to which the browser applies form-action too.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+strings.Join(p.Logins, " "))
	w.WriteHeader(status)
	if err := connectTemplate.Execute(w, v); err != nil {
		p.Log.Debug("page not written", "error", err)
	}
}
