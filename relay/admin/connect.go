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

	"graphrelay/internal/bounded"
)

// SignIn is the sign-in of one mailbox's owner with a browser.
type SignIn interface {
	// Mailbox returns the address of the mailbox.
	Mailbox() string
	// Shared reports whether the mailbox is another one's than the account's that signs in.
	Shared() bool
	// Account returns the account that signed in, if it has another name than the mailbox
	// and is known.
	Account() string
	// AuthURL returns the page at which the browser signs in. The browser comes back to
	// redirect with state and a code. verifier is that of PKCE (RFC 7636).
	AuthURL(redirect, state, verifier string) string
	// Exchange completes the sign-in with the code that the browser brought back.
	Exchange(ctx context.Context, redirect, code, verifier string) error
	// MakeUser creates the mailbox's SMTP user, or gives it a new password.
	MakeUser(ctx context.Context) (name, password string, err error)
}

// ConnectPage is the page on which owners connect their mailboxes. Anyone who reaches it
// may try: what decides is whom Entra signs in, and whether Graph then gives that account
// access to the mailbox.
type ConnectPage struct {
	Connections []string // names of the connections that owners can sign in to
	Logins      []string // their sign-in pages: scheme and host
	BaseURL     string   // the address at which browsers reach the page, without /connect
	Submission  []string // server settings for a mail program, as text for people
	Begin       func(connection, mailbox string, shared bool) (SignIn, error)
	Connected   func() // called after a mailbox was connected; may be nil
	Log         *slog.Logger

	mu      sync.Mutex
	pending *bounded.Map[string, *pendingSignIn] // by state
}

// pendingSignIn is a sign-in whose browser has been sent to Entra.
type pendingSignIn struct {
	SignIn
	browser  string // the cookie's value, so that a link sent to another person cannot complete the sign-in
	verifier string // PKCE (RFC 7636)
	user     bool   // an SMTP user was asked for
	until    time.Time
}

func (s *pendingSignIn) rank() bounded.Rank {
	if time.Now().After(s.until) {
		return bounded.Rank{Class: bounded.Expired}
	}
	return bounded.Rank{Class: bounded.Pinned}
}

const (
	signInTime  = 10 * time.Minute // the lifetime of an authorization code
	maxPending  = 1000
	maxForm     = 16 << 10
	browserName = "graphrelay-connect"
)

//go:embed connect.html
var connectSource string

var connectTemplate = template.Must(template.New("connect").Parse(connectSource))

// connectView is the data of the page's template.
type connectView struct {
	Connections               []string
	Mailbox, Error            string
	Shared                    bool
	Account                   string
	Connected, User, Password string
	Submission                []string
}

func (p *ConnectPage) register(mux *http.ServeMux) {
	p.pending = bounded.New[string](maxPending, (*pendingSignIn).rank)
	guarded := http.NewCrossOriginProtection()
	if u, err := url.Parse(p.BaseURL); err == nil {
		_ = guarded.AddTrustedOrigin(u.Scheme + "://" + u.Host) // a proxy may change the Host header
	}
	handle := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, guarded.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !p.serves(r.Host) {
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

// serves reports whether the Host header names this page: the host of BaseURL, localhost
// or a loopback address. Other names could be an attacker's that lead here (DNS rebinding).
func (p *ConnectPage) serves(host string) bool {
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

// form shows the form. The browser has to be at the address to which Entra sends it back,
// since it returns the cookie only there, and takes 127.0.0.1 and localhost for two hosts.
// With any other BaseURL there may be a proxy, and the Host header need not be what the
// browser asked for.
func (p *ConnectPage) form(w http.ResponseWriter, r *http.Request) {
	if base, err := url.Parse(p.BaseURL); err == nil && base.Hostname() == "localhost" && !strings.EqualFold(r.Host, base.Host) {
		http.Redirect(w, r, p.BaseURL+"/connect", http.StatusFound)
		return
	}
	p.show(w, http.StatusOK, connectView{})
}

// begin redirects the owner's browser to Entra.
func (p *ConnectPage) begin(w http.ResponseWriter, r *http.Request) {
	mailbox, shared := r.FormValue("mailbox"), r.FormValue("shared") != ""
	s, err := p.Begin(r.FormValue("connection"), mailbox, shared)
	if err != nil {
		p.show(w, http.StatusBadRequest, connectView{Mailbox: mailbox, Shared: shared, Error: err.Error()})
		return
	}
	state := rand.Text()
	next := &pendingSignIn{SignIn: s, browser: rand.Text(), verifier: oauth2.GenerateVerifier(), user: r.FormValue("user") != "", until: time.Now().Add(signInTime)}
	if !p.remember(state, next) {
		p.show(w, http.StatusServiceUnavailable, connectView{Mailbox: mailbox, Shared: shared, Error: "Too many sign-ins are in progress. Try again in a few minutes."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: browserName, Value: next.browser, Path: "/connect", MaxAge: int(signInTime.Seconds()),
		HttpOnly: true, Secure: strings.HasPrefix(p.BaseURL, "https:"), SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, s.AuthURL(p.redirect(), state, next.verifier), http.StatusSeeOther)
}

func (p *ConnectPage) remember(state string, s *pendingSignIn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending.Full() {
		return false
	}
	p.pending.Put(state, s)
	return true
}

// take removes and returns the sign-in that this browser began, or nil if there is none.
func (p *ConnectPage) take(r *http.Request) *pendingSignIn {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := r.FormValue("state")
	s, _ := p.pending.Get(state)
	cookie, err := r.Cookie(browserName)
	if s == nil || err != nil || time.Now().After(s.until) || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(s.browser)) != 1 {
		return nil
	}
	p.pending.Delete(state)
	return s
}

// callback completes the sign-in when Entra sends the browser back.
func (p *ConnectPage) callback(w http.ResponseWriter, r *http.Request) {
	s := p.take(r)
	if s == nil {
		p.show(w, http.StatusBadRequest, connectView{Error: "This sign-in was not started in this browser, or it took too long. Please start again."})
		return
	}
	view := connectView{Mailbox: s.Mailbox(), Shared: s.Shared()}
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
		p.Log.Warn("cannot connect a mailbox", "mailbox", s.Mailbox(), "error", err)
		view.Error = err.Error()
		p.show(w, http.StatusBadRequest, view)
		return
	}
	view.Connected, view.Account, view.Shared, view.Submission = s.Mailbox(), s.Account(), s.Shared(), p.Submission
	p.show(w, http.StatusOK, view)
}

func (p *ConnectPage) show(w http.ResponseWriter, status int, v connectView) {
	v.Connections = p.Connections
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // it may show a password
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	// Browsers apply form-action also to the redirect to Entra that follows the form.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+strings.Join(p.Logins, " "))
	w.WriteHeader(status)
	if err := connectTemplate.Execute(w, v); err != nil {
		p.Log.Debug("cannot write the page", "error", err)
	}
}
