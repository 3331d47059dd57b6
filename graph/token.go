package graph

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/internal/bounded"
	"graphrelay/internal/text"
)

const opToken = "token"

// SignIn gets access tokens. Package entra has the ways to do so.
type SignIn interface {
	// Source is asked for one new token, of the mailbox's own (its address in lower
	// case) where PerMailbox. ctx ends the request and carries the client to make it with (oauth2.HTTPClient).
	Source(ctx context.Context, mailbox string) oauth2.TokenSource
	// PerMailbox: the owner of each mailbox has signed in, and nobody's token serves
	// another mailbox.
	PerMailbox() bool
}

// ErrNotConnected: the owner of a mailbox has not signed in for it, or what came of that
// is refused by now. Only the owner can mend that.
var ErrNotConnected = errors.New("nobody is signed in for the mailbox")

// renewAhead is how long before its end a token is renewed, or half its life
// where that is short.
const renewAhead = 5 * time.Minute

// tokens caches a connection's tokens. One request at a time asks for a new one.
type tokenCache struct {
	signIn  SignIn
	client  *http.Client
	secret  []string // what an error may not show
	obs     Observer
	clock   clockSkew
	mu      sync.Mutex
	entries *bounded.Map[string, *cachedToken] // by mailbox in lower case; "" is the connection's one
}

// token is one that is held, or asked for.
type cachedToken struct {
	lock  chan struct{} // a mutex that a context can give up on
	value *oauth2.Token // nil: none yet
	renew time.Time     // zero: never
}

// maxTokens is how many mailboxes' tokens are cached.
const maxTokens = 10_000

func newTokenCache(cfg Config, client *http.Client) *tokenCache {
	limited := *client
	limited.Timeout = min(cfg.Timeout, 30*time.Second)
	t := &tokenCache{signIn: cfg.SignIn, client: &limited, secret: proxySecrets(cfg.Proxy), obs: cfg.Observer, entries: bounded.New[string](maxTokens, (*cachedToken).rank)}
	limited.Transport = tokenTransport{client.Transport, cfg.UserAgent, &t.clock}
	return t
}

// agent names us to the token endpoint as well, and asks it for the time.
type tokenTransport struct {
	http.RoundTripper
	name  string
	clock *clockSkew
}

func (a tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	setCommonHeaders(r.Header, a.name)
	resp, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		a.clock.observe(resp.Header)
	}
	return resp, err
}

// get returns a token for the mailbox. One that is to be renewed is used to its end
// while somebody else renews it, or the endpoint cannot.
func (t *tokenCache) get(ctx context.Context, mailbox string) (*oauth2.Token, error) {
	held := t.entry(mailbox)
	value, due := t.current(held)
	if !due {
		return value, nil
	}
	select {
	case held.lock <- struct{}{}:
	default:
		if value != nil {
			return value, nil
		}
		select {
		case held.lock <- struct{}{}:
		case <-ctx.Done():
			return nil, t.signInError(ctx.Err())
		}
	}
	defer func() { <-held.lock }()
	if value, due = t.current(held); !due {
		return value, nil
	}
	fresh, err := t.signIn.Source(context.WithValue(ctx, oauth2.HTTPClient, t.client), strings.ToLower(mailbox)).Token()
	if t.obs != nil {
		t.obs.Token(err == nil)
	}
	if err == nil {
		t.store(held, fresh)
		return fresh, nil
	}
	err = t.signInError(err)
	if value != nil && isUnavailable(err) {
		return value, nil
	}
	return nil, err
}

// of finds or makes what is held for the mailbox.
func (t *tokenCache) entry(mailbox string) *cachedToken {
	key := ""
	if t.signIn.PerMailbox() {
		key = strings.ToLower(mailbox)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries.GetOrPut(key, func() *cachedToken { return &cachedToken{lock: make(chan struct{}, 1)} })
}

// rank keeps an entry while its token is asked for. The cache's lock guards it.
func (h *cachedToken) rank() bounded.Rank {
	switch {
	case len(h.lock) > 0:
		return bounded.Rank{Class: bounded.Pinned}
	case !h.valid():
		return bounded.Rank{Class: bounded.Expired}
	}
	return bounded.Rank{Used: h.value.Expiry}
}

// lives tells whether there is a token that has not ended. A moment is left for it to
// arrive where it is used.
func (h *cachedToken) valid() bool {
	return h.value != nil && (h.value.Expiry.IsZero() || time.Until(h.value.Expiry) > time.Second)
}

// look returns the token, if it still is one, and whether a new one is due.
func (t *tokenCache) current(h *cachedToken) (value *oauth2.Token, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !h.valid() {
		return nil, true
	}
	return h.value, !h.renew.IsZero() && !time.Now().Before(h.renew)
}

func (t *tokenCache) store(h *cachedToken, value *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.value, h.renew = value, time.Time{}
	if !value.Expiry.IsZero() {
		h.renew = value.Expiry.Add(-min(renewAhead, time.Until(value.Expiry)/2))
	}
}

// drop forgets the token that Graph refused, unless another caller has renewed it.
func (t *tokenCache) invalidate(mailbox string, refused *oauth2.Token) {
	held := t.entry(mailbox)
	t.mu.Lock()
	defer t.mu.Unlock()
	if held.value == refused {
		held.value = nil
	}
}

func isUnavailable(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Reason == ReasonUnavailable || e.Reason == ReasonNetwork)
}

// failed makes an *Error of what came of a sign-in. Assertions, and more, are refused where
// the clock is wrong, in words that do not lead there.
func (t *tokenCache) signInError(err error) error {
	e := tokenError(err, t.secret...)
	if ahead := t.clock.ahead.Load(); e.Reason == ReasonAuth && ahead != nil && ahead.Abs() > maxSkew {
		e.err = skewError(*ahead)
	}
	return e
}

// tokenError: what the endpoint refuses is the connection's fault; what does not
// answer passes. The text of an AADSTS error names no secret, another server's may.
func tokenError(err error, secrets ...string) *Error {
	e := &Error{Op: opToken, Class: ClassConnection, Reason: ReasonAuth, err: err}
	var r *oauth2.RetrieveError
	notConnected := errors.Is(err, ErrNotConnected)
	if errors.Is(err, context.Canceled) { // the caller's doing
		e.Class, e.Reason, e.err = ClassTemporary, ReasonCanceled, scrub(err)
		return e
	}
	if notConnected {
		e.Class, e.Reason = ClassMailbox, ReasonNotConnected
	}
	if !errors.As(err, &r) {
		if !notConnected {
			e.Reason = ReasonNetwork
		}
		e.err = text.RedactError(scrub(err), secrets...)
		return e
	}
	e.Code = clip(text.Redact(r.ErrorCode, secrets...))
	first, _, _ := strings.Cut(r.ErrorDescription, "\n")
	e.Message = clip(text.Redact(first, secrets...))
	e.err = nil
	if notConnected {
		e.err = ErrNotConnected
	}
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
