package admin

import (
	"context"
	"crypto/rand"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/internal/look"
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
	// Served reports whether mail from the mailbox's address finds its connection. Otherwise
	// only the mailbox's SMTP user can send from it.
	Served() bool
	// Domains returns the domains whose mail goes through the connection.
	Domains() []string
	// ConnectionName returns the name of the connection that the sign-in is for.
	ConnectionName() string
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
	KeptSent    string // for how long the relay keeps records of sent messages, such as "30 days"
	KeptContent string // for how long it keeps the content of some of them; empty: of none
	KeptFailed  string // for how long it keeps messages that failed
	Log         *slog.Logger
	Key         ConnectKey // encrypts what browsers keep of sign-ins in progress
}

//go:embed connect.html
var connectSource string

var connectTemplate = template.Must(template.New("connect").Funcs(look.Funcs()).Parse(connectSource))

// connectView is the data of the page's template.
type connectView struct {
	Connections               []string
	Mailbox                   string
	Trouble                   trouble // why the mailbox was not connected; without Text: nothing was wrong
	Chosen                    string  // the connection that the owner chose
	Shared, WantsUser         bool
	KeptSent, KeptContent     string
	KeptFailed                string
	Account                   string
	Connected, User, Password string
	Submission                []string
	Unserved                  string // the connection that lacks the mailbox's domain; empty: none
}

func (p *ConnectPage) register(mux *http.ServeMux) {
	guarded := http.NewCrossOriginProtection()
	if u, err := url.Parse(p.BaseURL); err == nil {
		_ = guarded.AddTrustedOrigin(u.Scheme + "://" + u.Host) // a proxy may change the Host header
	}
	slots := make(chan struct{}, maxSameRequests)
	handle := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, guarded.Handler(atMost(slots, h)))
	}
	handle("GET /connect", p.form)
	handle("POST /connect", p.begin)
	handle("GET /connect/callback", p.callback)
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

// begin redirects the owner's browser to Entra, if mail from the mailbox would be sent once it is
// connected.
func (p *ConnectPage) begin(w http.ResponseWriter, r *http.Request) {
	v := connectView{
		Mailbox: strings.TrimSpace(r.FormValue("mailbox")), Chosen: r.FormValue("connection"),
		Shared: r.FormValue("shared") != "", WantsUser: r.FormValue("user") != "",
	}
	s, err := p.Begin(v.Chosen, v.Mailbox, v.Shared)
	if err != nil {
		v.Trouble.Text = capital(err.Error())
		p.show(w, http.StatusBadRequest, v)
		return
	}
	// The user of a mailbox outside of all connections may send from it. Where a connection lists
	// its domains, such a mailbox is rather a mistake.
	if !s.Served() && (len(s.Domains()) > 0 || !v.WantsUser) {
		v.Trouble.Text = unserved(s)
		p.show(w, http.StatusBadRequest, v)
		return
	}
	next := pendingSignIn{
		Connection: v.Chosen, Mailbox: v.Mailbox, Shared: v.Shared, User: v.WantsUser,
		State: rand.Text(), Verifier: oauth2.GenerateVerifier(), Until: time.Now().Add(signInTime),
	}
	if err := p.remember(w, next); err != nil {
		v.Trouble = failedSignIn(err)
		p.show(w, http.StatusInternalServerError, v)
		return
	}
	http.Redirect(w, r, s.AuthURL(p.redirect(), next.State, next.Verifier), http.StatusSeeOther)
}

// unserved says that mail from the mailbox would be refused, and from which addresses it is sent.
func unserved(s SignIn) string {
	const most = 5
	domains := s.Domains()
	switch n := len(domains); {
	case n == 0:
		return "This relay sends no mail from " + s.Mailbox() + " without a user of its own. Tick the box for a user name and password, or ask your administrator to add the domain to the connection " + s.ConnectionName() + "."
	case n > most:
		domains = append(slices.Clone(domains[:most]), "others")
	}
	return "This relay sends no mail from " + s.Mailbox() + ". It sends from addresses at " + strings.Join(domains, ", ") +
		". Correct the address, or ask your administrator to add its domain to the connection " + s.ConnectionName() + "."
}

// capital returns an error as a sentence.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// callback completes the sign-in when Entra sends the browser back.
func (p *ConnectPage) callback(w http.ResponseWriter, r *http.Request) {
	began, ok := p.take(w, r)
	if !ok {
		p.show(w, http.StatusBadRequest, connectView{Trouble: trouble{Text: "This sign-in was not started in this browser, or it took too long. Start again below."}})
		return
	}
	s, err := p.Begin(began.Connection, began.Mailbox, began.Shared)
	if err != nil {
		p.show(w, http.StatusBadRequest, connectView{Trouble: failedSignIn(err)})
		return
	}
	view := connectView{Mailbox: s.Mailbox(), Chosen: began.Connection, Shared: s.Shared(), WantsUser: began.User}
	if e := r.FormValue("error"); e != "" {
		view.Trouble = refusedSignIn(e, r.FormValue("error_description"))
		p.Log.Info("a sign-in to connect a mailbox was refused", "mailbox", s.Mailbox(), "error", view.Trouble.Code)
		p.show(w, http.StatusBadRequest, view)
		return
	}
	err = s.Exchange(r.Context(), p.redirect(), r.FormValue("code"), began.Verifier)
	if err == nil && p.Connected != nil {
		p.Connected()
	}
	if err == nil && began.User {
		view.User, view.Password, err = s.MakeUser(r.Context())
	}
	if err != nil {
		p.Log.Warn("cannot connect a mailbox", "mailbox", s.Mailbox(), "error", err)
		view.Trouble = failedSignIn(err)
		p.show(w, http.StatusBadRequest, view)
		return
	}
	view.Connected, view.Account, view.Shared, view.Submission = s.Mailbox(), s.Account(), s.Shared(), p.Submission
	if !s.Served() {
		view.Unserved = s.ConnectionName()
	}
	p.show(w, http.StatusOK, view)
}

func (p *ConnectPage) show(w http.ResponseWriter, status int, v connectView) {
	v.Connections, v.KeptSent, v.KeptContent, v.KeptFailed = p.Connections, p.KeptSent, p.KeptContent, p.KeptFailed
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // it may show a password
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	// Browsers apply form-action also to the redirect to Entra that follows the form.
	h.Set("Content-Security-Policy", strings.Replace(look.Policy, "form-action 'self'", strings.TrimSpace("form-action 'self' "+strings.Join(p.Logins, " ")), 1))
	w.WriteHeader(status)
	if err := connectTemplate.Execute(w, v); err != nil {
		p.Log.Debug("cannot write the page", "error", err)
	}
}
