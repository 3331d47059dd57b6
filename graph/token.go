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
	"graphrelay/internal/calls"
	"graphrelay/internal/text"
)

const opToken = "token"

// SignIn is a way to get access tokens. Package entra has the implementations.
type SignIn interface {
	// Source returns a source that requests one new token. The client caches it. mailbox
	// is in lower case, and counts only if PerMailbox is true. ctx is that of the request
	// and has the HTTP client to use (oauth2.HTTPClient).
	Source(ctx context.Context, mailbox string) oauth2.TokenSource
	// PerMailbox reports whether each mailbox has a token of its own, for which its owner
	// has signed in.
	PerMailbox() bool
}

// Grants is implemented by a SignIn whose tokens rest on a grant that may end, or be
// replaced by another one, while a token from it is still good.
type Grants interface {
	// Grant returns what identifies the mailbox's present grant, or an error that wraps
	// ErrNotConnected if there is none. mailbox is in lower case.
	Grant(ctx context.Context, mailbox string) (int64, error)
}

// ErrNotConnected means that a mailbox's owner has not signed in, or has to sign in again
// because Entra no longer accepts the grant.
var ErrNotConnected = errors.New("nobody is signed in for the mailbox")

// renewAhead is how long before its expiry a token is renewed. A token with less than
// twice this lifetime is renewed after half of it.
const renewAhead = 5 * time.Minute

// tokenCache caches a connection's tokens. At most one request at a time is made for a
// new token of an entry.
type tokenCache struct {
	signIn  SignIn
	client  *http.Client
	secrets []string // to redact from errors
	obs     Observer
	clock   clockSkew
	mu      sync.Mutex
	entries *bounded.Map[string, *cachedToken] // by mailbox in lower case; "" is the connection's one
}

// cachedToken is an entry of the cache. The cache's lock guards all but lock.
type cachedToken struct {
	lock  chan struct{} // held while a token is requested; a channel so that a context can end the wait
	value *oauth2.Token // nil: none yet
	grant int64         // that value rests on, if the SignIn has Grants
	renew time.Time     // when to request the next one; zero: never
}

// maxTokens is how many mailboxes' tokens are cached.
const maxTokens = 10_000

func newTokenCache(cfg Config, client *http.Client) *tokenCache {
	limited := *client
	limited.Timeout = min(cfg.Timeout, 30*time.Second)
	t := &tokenCache{signIn: cfg.SignIn, client: &limited, secrets: proxySecrets(cfg.Proxy), obs: cfg.Observer, entries: bounded.New[string](maxTokens, (*cachedToken).rank)}
	limited.Transport = tokenTransport{client.Transport, cfg.UserAgent, &t.clock}
	return t
}

// tokenTransport sets the common headers of requests to the token endpoint, and reads the
// endpoint's clock.
type tokenTransport struct {
	http.RoundTripper
	userAgent string
	clock     *clockSkew
}

// RoundTrip implements http.RoundTripper.
func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	setCommonHeaders(r.Header, t.userAgent)
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		t.clock.observe(resp.Header)
	}
	return resp, err
}

// get returns a token for the mailbox. It returns one that is due for renewal while
// another request renews it, or if the endpoint is unavailable. It returns none of a grant
// that has ended.
func (t *tokenCache) get(ctx context.Context, mailbox string) (*oauth2.Token, error) {
	e := t.entry(mailbox)
	grant, err := t.grant(ctx, mailbox)
	if err != nil {
		return nil, t.signInError(err)
	}
	value, due := t.current(e, grant)
	if !due {
		return value, nil
	}
	if !e.tryLock() {
		if value != nil { // another request renews it
			return value, nil
		}
		if err := e.lockContext(ctx); err != nil {
			return nil, t.signInError(err)
		}
	}
	defer e.unlock()
	if value, due = t.current(e, grant); !due {
		return value, nil
	}
	start := time.Now()
	fresh, err := t.signIn.Source(context.WithValue(ctx, oauth2.HTTPClient, t.client), strings.ToLower(mailbox)).Token()
	if err != nil {
		err = t.signInError(err)
	}
	if t.obs != nil {
		t.obs.Token(err)
	}
	if err == nil {
		t.store(e, fresh, grant)
		calls.Report(ctx, calls.Call{Operation: opToken, Started: start})
		return fresh, nil
	}
	calls.Report(ctx, calls.Call{Operation: opToken, Started: start, Err: err})
	if value != nil && isUnavailable(err) {
		return value, nil
	}
	return nil, err
}

// grant returns the grant that a token has to rest on, 0 if the SignIn has none. It is read
// before the token is requested, so a token of a newer one is at worst requested twice.
func (t *tokenCache) grant(ctx context.Context, mailbox string) (int64, error) {
	if g, ok := t.signIn.(Grants); ok {
		return g.Grant(ctx, strings.ToLower(mailbox))
	}
	return 0, nil
}

// entry returns the mailbox's entry. It creates one if there is none.
func (t *tokenCache) entry(mailbox string) *cachedToken {
	key := ""
	if t.signIn.PerMailbox() {
		key = strings.ToLower(mailbox)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries.GetOrPut(key, func() *cachedToken { return &cachedToken{lock: make(chan struct{}, 1)} })
}

func (e *cachedToken) tryLock() bool {
	select {
	case e.lock <- struct{}{}:
		return true
	default:
		return false
	}
}

func (e *cachedToken) lockContext(ctx context.Context) error {
	select {
	case e.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *cachedToken) unlock() { <-e.lock }

// rank pins an entry whose token is being requested, so that it is not evicted. The caller
// holds the cache's lock.
func (e *cachedToken) rank() bounded.Rank {
	switch {
	case len(e.lock) > 0:
		return bounded.Rank{Class: bounded.Pinned}
	case !e.valid():
		return bounded.Rank{Class: bounded.Expired}
	}
	return bounded.Rank{Used: e.value.Expiry}
}

// valid reports whether there is a token that does not expire before a request can use it.
func (e *cachedToken) valid() bool {
	return e.value != nil && (e.value.Expiry.IsZero() || time.Until(e.value.Expiry) > time.Second)
}

// current returns the token, nil if it is not valid or rests on another grant, and whether
// it is due for renewal.
func (t *tokenCache) current(e *cachedToken, grant int64) (value *oauth2.Token, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !e.valid() || e.grant != grant {
		return nil, true
	}
	return e.value, !e.renew.IsZero() && !time.Now().Before(e.renew)
}

func (t *tokenCache) store(e *cachedToken, value *oauth2.Token, grant int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.value, e.grant, e.renew = value, grant, time.Time{}
	if !value.Expiry.IsZero() {
		e.renew = value.Expiry.Add(-min(renewAhead, time.Until(value.Expiry)/2))
	}
}

// invalidate removes the token that Graph refused, unless it has been replaced already.
func (t *tokenCache) invalidate(mailbox string, refused *oauth2.Token) {
	e := t.entry(mailbox)
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.value == refused {
		e.value = nil
	}
}

func isUnavailable(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Reason == ReasonUnavailable || e.Reason == ReasonNetwork)
}

// signInError returns the *Error for a failed sign-in. If this machine's clock is wrong it
// says so: Entra then refuses assertions, among others, with errors that do not name the
// clock.
func (t *tokenCache) signInError(err error) error {
	e := tokenError(err, t.secrets...)
	if ahead := t.clock.ahead.Load(); e.Reason == ReasonAuth && ahead != nil && ahead.Abs() > maxSkew {
		e.err = skewError(*ahead)
	}
	return e
}

// tokenError returns the *Error for a failed token request. It concerns the connection,
// since no mailbox gets a token then, unless the mailbox's owner has to sign in. It redacts
// the secrets: Entra's errors have none, but those of another server may.
func tokenError(err error, secrets ...string) *Error {
	var refused *oauth2.RetrieveError
	e := &Error{Op: opToken, Class: ClassConnection, Reason: ReasonNetwork}
	if errors.Is(err, ErrNotConnected) {
		e.Class, e.Reason = ClassMailbox, ReasonNotConnected
	}
	switch {
	case errors.Is(err, context.Canceled):
		e.Class, e.Reason, e.err = ClassTemporary, ReasonCanceled, scrub(err)
	case errors.As(err, &refused):
		e.refuse(refused, secrets...)
	default:
		e.err = text.RedactError(scrub(err), secrets...)
	}
	return e
}

// refuse sets what the token endpoint has answered.
func (e *Error) refuse(r *oauth2.RetrieveError, secrets ...string) {
	description, _, _ := strings.Cut(r.ErrorDescription, "\n") // trace IDs follow
	if r.Response != nil {
		e.Status = r.Response.StatusCode
		e.RetryAfter = retryAfter(r.Response.Header)
	}
	if e.Status == http.StatusProxyAuthRequired {
		*e = Error{Op: opToken, Class: ClassConnection, Reason: ReasonNetwork, err: &ProxyError{e.Status}}
		return
	}
	if e.Reason == ReasonNotConnected {
		e.err = ErrNotConnected
	} else {
		e.Reason = ReasonAuth
	}
	if e.Status == http.StatusTooManyRequests || e.Status >= 500 {
		e.Reason = ReasonUnavailable
	}
	e.Code = clip(text.Redact(r.ErrorCode, secrets...))
	e.Message = clip(text.Redact(description, secrets...))
}
