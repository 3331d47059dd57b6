package operators

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

const (
	oidcCookie    = "-oidc"
	oidcTime      = 10 * time.Minute // of a sign-in at the provider
	requestTime   = 10 * time.Second // of a request to the provider
	maxAnswer     = 1 << 20          // of the provider, in bytes
	retryProvider = 5 * time.Second  // after the provider could not be asked
	maxPersonName = 100
)

// provider is the identity provider of the configuration (OpenID Connect Core 1.0), asked by the
// authorization code flow with PKCE, so that all tokens come from the provider itself over HTTPS.
type provider struct {
	cfg      config.OIDC
	redirect string
	grant    string
	roles    map[string]Role // by the value of a claim
	client   *http.Client

	mu    sync.Mutex
	found *oidc.Provider // nil until the provider has been asked
	tried time.Time
	fault error // of that time
}

func newProvider(cfg config.OIDC, redirect string) *provider {
	p := &provider{cfg: cfg, redirect: redirect, roles: map[string]Role{}, client: &http.Client{
		Timeout: requestTime, Transport: limitedAnswers{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // secrets go nowhere else
	}}
	parts := []string{"oidc", cfg.Issuer, cfg.ClientID}
	for role, names := range map[Role][]string{Viewer: cfg.Roles.Viewer, Operator: cfg.Roles.Operator, Admin: cfg.Roles.Admin} {
		for _, name := range names {
			p.roles[name] = role
			parts = append(parts, role.String()+" "+name)
		}
	}
	slices.Sort(parts[3:])
	p.grant = grantOf(parts...)
	return p
}

// limitedAnswers bounds what is read of an answer.
type limitedAnswers struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limitedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// name returns what people call the provider: Microsoft, or its host.
func (p *provider) name() string {
	u, err := url.Parse(p.cfg.Issuer)
	switch {
	case err != nil:
		return p.cfg.Issuer
	case strings.HasPrefix(u.Host, "login.microsoftonline.") || strings.HasPrefix(u.Host, "login.partner.microsoftonline."):
		return "Microsoft"
	}
	return u.Host
}

// discover returns the provider's endpoints and keys. It asks the first time, and again a while
// after that has failed: the relay starts without its identity provider.
func (p *provider) discover() (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil && time.Since(p.tried) >= retryProvider {
		// The keys are asked for with this context later.
		p.found, p.fault = oidc.NewProvider(oidc.ClientContext(context.Background(), p.client), p.cfg.Issuer)
		p.tried = time.Now()
	}
	return p.found, p.fault
}

func (p *provider) oauth(found *oidc.Provider) oauth2.Config {
	return oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret.Reveal(), Endpoint: found.Endpoint(),
		RedirectURL: p.redirect, Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
}

// pendingOIDC is a sign-in whose browser is at the provider. The browser keeps it, sealed.
type pendingOIDC struct {
	State, Nonce, Verifier, Next string
	Until                        time.Time
}

// beginOIDC sends the browser to the provider.
func (g *Gate) beginOIDC(w http.ResponseWriter, r *http.Request) {
	found, err := g.oidc.discover()
	if err != nil {
		g.failOIDC(w, r, http.StatusBadGateway, "The identity provider cannot be asked at the moment. The log of the relay says why.", err)
		return
	}
	next := pendingOIDC{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: localPath(r.FormValue("next")), Until: time.Now().Add(oidcTime)}
	value, err := g.State.key.Seal(next)
	if err != nil {
		g.failOIDC(w, r, http.StatusInternalServerError, "The sign-in cannot begin. The log of the relay says why.", err)
		return
	}
	g.setCookie(w, oidcCookie, value, oidcTime)
	oauth := g.oidc.oauth(found)
	http.Redirect(w, r, oauth.AuthCodeURL(next.State, oidc.Nonce(next.Nonce), oauth2.S256ChallengeOption(next.Verifier)), http.StatusSeeOther)
}

// takeOIDC returns the sign-in that this browser began, and has the browser forget it.
func (g *Gate) takeOIDC(w http.ResponseWriter, r *http.Request) (p pendingOIDC, ok bool) {
	c, err := r.Cookie(g.cookieName(oidcCookie))
	if err != nil || !g.State.key.Open(c.Value, &p) || time.Now().After(p.Until) ||
		subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(p.State)) != 1 {
		return p, false
	}
	g.setCookie(w, oidcCookie, "", 0)
	return p, true
}

// finishOIDC signs in a person whom the provider has sent back.
func (g *Gate) finishOIDC(w http.ResponseWriter, r *http.Request) {
	pending, ok := g.takeOIDC(w, r)
	// The parameter iss is that of RFC 9207, which not every provider sends.
	if iss := r.FormValue("iss"); !ok || iss != "" && iss != g.oidc.cfg.Issuer {
		g.failOIDC(w, r, http.StatusBadRequest, "This sign-in was not started in this browser, or it took too long. Please start again.", nil)
		return
	}
	if e := r.FormValue("error"); e != "" {
		g.failOIDC(w, r, http.StatusForbidden, fmt.Sprintf("The identity provider did not sign you in (%s). %s", short(e), short(r.FormValue("error_description"))), nil)
		return
	}
	c, err := g.oidc.exchange(r.Context(), r.FormValue("code"), pending)
	if err != nil {
		g.failOIDC(w, r, http.StatusForbidden, "The answer of the identity provider cannot be used. The log of the relay says why.", err)
		return
	}
	p := Person{Name: c.name(), Role: g.oidc.roleOf(c), Way: ByOIDC, From: g.client(r)}
	if p.Role == None {
		g.failOIDC(w, r, http.StatusForbidden, fmt.Sprintf("You are signed in to %s as %s, but that account has none of the app roles and groups that may use this console.%s Ask an administrator to assign one to it, then sign in again.", g.oidc.name(), p.Name, c.hint()), nil)
		return
	}
	g.begin(w, r, p, g.oidc.grant)
	http.Redirect(w, r, pending.Next, http.StatusSeeOther)
}

// failOIDC records a sign-in that was refused, and tells the person. err is for the log.
func (g *Gate) failOIDC(w http.ResponseWriter, r *http.Request, status int, words string, err error) {
	if err != nil {
		g.Log.Warn("cannot sign in an operator with OpenID Connect", "issuer", g.oidc.cfg.Issuer, "error", short(g.oidc.clean(err.Error())))
	}
	g.State.audit.refused(r.Context(), g.Log, Person{Way: ByOIDC, From: g.client(r)})
	g.show(w, r, status, words)
}

// clean removes the client secret from what the provider has answered.
func (p *provider) clean(words string) string {
	if secret := p.cfg.ClientSecret.Reveal(); secret != "" {
		words = strings.ReplaceAll(words, secret, "[redacted]")
	}
	return words
}

// short returns words from outside as they can be shown.
func short(words string) string { return text.Shorten(text.Printable(words), 500) }

// claims are what an ID token says of a person (OpenID Connect Core 1.0 section 5.1). Entra has
// app roles in roles, and object IDs in groups.
type claims struct {
	Subject  string    `json:"sub"`
	Username string    `json:"preferred_username"`
	Email    string    `json:"email"`
	Roles    textList  `json:"roles"`
	Groups   textList  `json:"groups"`
	Overage  claimsAre `json:"_claim_names"` // where Entra leaves out groups that are too many
}

type claimsAre struct {
	Groups string `json:"groups"`
}

// textList is a list, or one text in its place.
type textList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *textList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = textList{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

func (c claims) name() string {
	for _, n := range []string{c.Username, c.Email, c.Subject} {
		if n = text.Shorten(text.Printable(strings.TrimSpace(n)), maxPersonName); n != "" {
			return n
		}
	}
	return "somebody"
}

// hint says why groups may be missing.
func (c claims) hint() string {
	if c.Overage.Groups == "" {
		return ""
	}
	return " It is in too many groups for the provider to list them: use app roles, or have only assigned groups listed."
}

// roleOf returns the highest role that the claims give.
func (p *provider) roleOf(c claims) (role Role) {
	for _, name := range slices.Concat(c.Roles, c.Groups) {
		role = max(role, p.roles[name])
	}
	return role
}

// exchange returns the claims of the ID token that the code stands for.
func (p *provider) exchange(ctx context.Context, code string, pending pendingOIDC) (c claims, err error) {
	found, err := p.discover()
	if err != nil {
		return c, err
	}
	oauth := p.oauth(found)
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := oauth.Exchange(ctx, code, oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		return c, err
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return c, errors.New("the provider returned no ID token")
	}
	// Issuer, audience, signature and time.
	token, err := found.VerifierContext(ctx, &oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return c, err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(pending.Nonce)) != 1 {
		return c, errors.New("the ID token is that of another sign-in (nonce)")
	}
	return c, token.Claims(&c)
}
