package graph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const opToken = "token"

// renewAhead is how long before its end a token is renewed, or half its life
// where that is short.
const renewAhead = 5 * time.Minute

// tokens caches one connection's token. One request at a time asks for a new one.
type tokens struct {
	cc     clientcredentials.Config // which caches nothing by itself
	client *http.Client
	secret []string // what an error may not show
	obs    Observer
	lock   chan struct{} // a mutex that a context can give up on
	mu     sync.Mutex
	token  *oauth2.Token
	renew  time.Time // zero: never
}

func newTokens(cfg Config, client *http.Client) *tokens {
	limited := *client
	limited.Timeout = min(cfg.Timeout, 30*time.Second)
	cc := clientcredentials.Config{
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret,
		TokenURL:     cfg.LoginURL + "/" + url.PathEscape(cfg.Tenant) + "/oauth2/v2.0/token",
		Scopes:       []string{cfg.GraphURL + "/.default"},
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	limited.Transport = agent{client.Transport, cfg.UserAgent}
	secret := append(proxySecrets(cfg.Proxy), cfg.ClientSecret)
	return &tokens{cc: cc, client: &limited, secret: secret, obs: cfg.Observer, lock: make(chan struct{}, 1)}
}

// agent names us to the token endpoint as well.
type agent struct {
	http.RoundTripper
	name string
}

func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	identify(r.Header, a.name)
	return a.RoundTripper.RoundTrip(r)
}

func (t *tokens) get(ctx context.Context) (*oauth2.Token, error) {
	if tok := t.cached(); tok != nil {
		return tok, nil
	}
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return nil, tokenError(ctx.Err(), t.secret...)
	}
	if tok := t.cached(); tok != nil {
		return tok, nil
	}
	tok, err := t.cc.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if t.obs != nil {
		t.obs.Token(err == nil)
	}
	if err != nil {
		return nil, tokenError(err, t.secret...)
	}
	t.keep(tok)
	return tok, nil
}

func (t *tokens) keep(tok *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token, t.renew = tok, time.Time{}
	if !tok.Expiry.IsZero() {
		t.renew = tok.Expiry.Add(-min(renewAhead, time.Until(tok.Expiry)/2))
	}
}

func (t *tokens) cached() *oauth2.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.renew.IsZero() && !time.Now().Before(t.renew) {
		return nil
	}
	return t.token
}

// drop forgets the token that Graph refused, unless another caller has renewed it.
func (t *tokens) drop(refused *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == refused {
		t.token = nil
	}
}

// tokenError: what the endpoint refuses is the connection's fault; what does not
// answer passes. The text of an AADSTS error names no secret, another server's may.
func tokenError(err error, secrets ...string) error {
	e := &Error{Op: opToken, Class: ClassConnection, Reason: ReasonAuth, err: err}
	var r *oauth2.RetrieveError
	if errors.Is(err, context.Canceled) { // the caller's doing
		e.Class, e.Reason, e.err = ClassPassing, ReasonCanceled, scrub(err)
		return e
	}
	if !errors.As(err, &r) {
		e.Reason = ReasonNetwork
		e.err = conceal(scrub(err), secrets...)
		return e
	}
	e.Code = clip(redact(r.ErrorCode, secrets...))
	first, _, _ := strings.Cut(r.ErrorDescription, "\n")
	e.Message = clip(redact(first, secrets...))
	e.err = nil
	if r.Response != nil {
		e.Status = r.Response.StatusCode
		e.RetryAfter = retryAfter(r.Response.Header)
	}
	if e.Status == http.StatusProxyAuthRequired {
		return &Error{Op: opToken, Class: ClassConnection, Reason: ReasonNetwork, err: &ProxyError{e.Status}}
	}
	if e.Status == http.StatusTooManyRequests || e.Status >= 500 {
		e.Reason = ReasonUnavailable
	}
	return e
}
