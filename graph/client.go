// Package graph is a client for the mail requests of Microsoft Graph: drafts,
// attachments, upload sessions and send.
//
// A Client serves one connection (an Entra application in a tenant), and a Mailbox of it
// makes the requests to one mailbox. Tokens come from a SignIn, such as those of package
// entra. Names in parentheses in comments, such as (message-send), are pages of
// Microsoft's Graph documentation.
//
// The package promises that
//   - every answer other than the documented success is an *Error, which says what it
//     concerns (Class), why (Reason), and whether the request may have had its effect
//     (Ambiguous);
//   - a request that may have had its effect is never repeated;
//   - each mailbox is asked within its limits: a number of requests at a time, the
//     budgets, and the pauses that Graph asks for;
//   - no secret and no token appears in an error.
//
// It knows nothing of SMTP, of how a message is stored, or of what becomes of an error.
package graph

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/internal/calls"
	"graphrelay/internal/permit"
)

// Config describes a connection: an Entra application in a tenant.
type Config struct {
	Tenant      string // Graph's limits count for each pair of application and mailbox
	ClientID    string
	SignIn      SignIn
	GraphURL    string              // such as https://graph.microsoft.com
	Proxy       *url.URL            // HTTP proxy, with its user and password; nil: from the environment
	Authorities []*x509.Certificate // trusted in addition to the system's
	UserAgent   string
	Concurrency int           // requests at a time to one mailbox; Graph allows 4
	Budgets     Budgets       // of each mailbox
	Timeout     time.Duration // of one request
	Observer    Observer      // may be nil
	Dial        Dial          // nil: by TCP, within 10 s
}

// Observer is called for each request, to count it.
type Observer interface {
	Request(operation string, status int, took time.Duration) // status is 0 if no answer came
	Throttled()                                               // Graph throttled a request
	LookupUnreliable()                                        // a look-up returned items that were not searched for
	Token(err error)                                          // a token was asked for; err is redacted
}

// Dial connects to an address, such as [net.Dialer.DialContext].
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Client makes requests to Graph for one connection. It is safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	tokens *tokenCache
	gate   *gate

	oneConditionOnly atomic.Bool  // the directory refuses filters with several conditions
	inboxRequest     atomic.Int32 // the first of inboxRequests that is not refused
	unreliable       atomic.Bool  // look-ups have returned items that were not searched for
}

// New returns a client. It makes no request.
func New(cfg Config) *Client {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	transport := &http.Transport{
		Proxy:                  proxyFunc(cfg.Proxy),
		OnProxyConnectResponse: checkConnect,
		TLSClientConfig:        tlsConfig(cfg.Authorities),
		DialContext:            dial,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    1024, // without HTTP/2, as many as requests at a time: each new one costs a handshake
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  cfg.Timeout,
		WriteBufferSize:        8 << 10, // each connection without HTTP/2 holds it
	}
	client := &http.Client{
		Transport: transport,
		// A redirect would carry the token to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Client{cfg: cfg, http: client, tokens: newTokenCache(cfg, client), gate: newGate(cfg.Concurrency, cfg.Budgets)}
}

// ShareLimits makes c count its requests together with those of another client of the
// same application, as Graph does. It does nothing if the applications or the limits
// differ. It must be called before c's first request.
func (c *Client) ShareLimits(other *Client) {
	a, b := c.cfg, other.cfg
	if a.Tenant == b.Tenant && a.ClientID == b.ClientID && a.Concurrency == b.Concurrency && a.Budgets == b.Budgets {
		c.gate = other.gate
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Reply is the part of an answer that is recorded for the operator. It is the zero Reply
// if no answer came.
type Reply struct {
	Status    int
	RequestID string        // Graph's request-id, which Microsoft's support asks for
	Took      time.Duration // from the request until the answer began
	Date      time.Time     // of the answer, by the service's clock in whole seconds; zero if it had none
}

// maxAnswer limits how many bytes are read of an answer, beside those that repeat the
// request.
const maxAnswer = 4 << 20

// answerLimit returns how many bytes of the answer to req are read. The answer to create
// repeats the message, and JSON may write each of its bytes as six (\u003c).
func answerLimit(req *http.Request) int64 { return maxAnswer + 6*req.ContentLength }

// call makes the request and decodes the answer into out, which may be nil. If Graph
// refuses the token, call makes the request once more with a new one: a request that was
// answered with 401 had no effect.
func (c *Client) call(ctx context.Context, r *request, out any) (Reply, error) {
	recorded, err := c.recordEarly(ctx, r)
	if err != nil {
		return Reply{}, err
	}
	if r.mailbox != "" {
		release, err := c.gate.acquire(ctx, r.op, r.mailbox, r.cost())
		if err != nil {
			return Reply{}, err
		}
		defer release()
	}
	token, err := c.Token(ctx, r.mailbox)
	if err == nil && r.record != nil && time.Since(recorded) > maxRecordAge {
		err = r.record()
	}
	if err != nil {
		return Reply{}, err
	}
	reply, err := c.attempt(ctx, r, token, out)
	if reply.Status != http.StatusUnauthorized {
		return reply, err
	}
	c.tokens.invalidate(r.mailbox, token)
	if token, err = c.Token(ctx, r.mailbox); err != nil {
		return reply, err
	}
	return c.attempt(calls.Resent(ctx), r, token, out)
}

// maxRecordAge is the longest time between a call of record and the request.
const maxRecordAge = time.Second

// recordEarly calls record before the request waits for one of the mailbox's slots, so
// that no slot is held while the disk writes. It does not call record for a request that
// the gate or the sign-in would refuse.
func (c *Client) recordEarly(ctx context.Context, r *request) (at time.Time, err error) {
	if !r.recordEarly || r.record == nil {
		return time.Time{}, nil
	}
	if err := c.gate.check(r.op, r.mailbox, r.cost()); err != nil {
		return time.Time{}, err
	}
	if _, err := c.Token(ctx, r.mailbox); err != nil {
		return time.Time{}, err
	}
	at = time.Now()
	return at, r.record()
}

// attempt makes the request with this token.
func (c *Client) attempt(ctx context.Context, r *request, token *oauth2.Token, out any) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	target := c.cfg.GraphURL + "/v1.0"
	if r.mailbox != "" {
		target += "/users/" + url.PathEscape(r.mailbox)
	}
	target += r.path
	if len(r.query) > 0 {
		// Not every part of Graph reads a plus sign as a space.
		target += "?" + strings.ReplaceAll(r.query.Encode(), "+", "%20")
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.reader())
	if err != nil {
		return Reply{}, &Error{Op: r.op, Class: ClassMessage, Reason: ReasonInvalid, err: err}
	}
	req.ContentLength = r.length
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	token.SetAuthHeader(req)
	req.Header.Set("Accept", "application/json")
	reply, err := c.roundTrip(req, r.op, r.success, out)
	c.gate.applyRetryAfter(r.mailbox, err)
	return reply, err
}

// setCommonHeaders sets the headers of every request, including those for tokens and to
// upload URLs.
func setCommonHeaders(h http.Header, userAgent string) {
	h.Set("User-Agent", userAgent)
	h.Set("client-request-id", newUUID())
	h.Set("Prefer", `IdType="ImmutableId"`)
}

// roundTrip makes an HTTP request and reads its answer. All requests but those for tokens
// go through it.
func (c *Client) roundTrip(req *http.Request, op string, success []int, out any) (Reply, error) {
	setCommonHeaders(req.Header, c.cfg.UserAgent)
	if err := permit.Check(req.Context()); err != nil {
		return Reply{}, &Error{Op: op, Class: ClassTemporary, Reason: ReasonCanceled, err: err}
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		took := c.observe(op, 0, start)
		e := transportError(op, err, c.secretsIn(req)...)
		e.Took = took
		report(req, op, start, Reply{}, e)
		return Reply{}, e
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		defer c.http.CloseIdleConnections() // a retry has to use a new connection (best-practices-concept)
	}
	defer resp.Body.Close()
	if _, partly := out.(*beginning); !partly {
		defer func() { _, _ = io.CopyN(io.Discard, resp.Body, 8<<20) }() // so that the connection can be reused
	}
	took := c.observe(op, resp.StatusCode, start)
	reply := Reply{Status: resp.StatusCode, RequestID: clip(resp.Header.Get("request-id")), Took: took, Date: dateOf(resp.Header)}
	for _, s := range success {
		if resp.StatusCode == s {
			err := decode(op, reply, io.LimitReader(resp.Body, answerLimit(req)), out)
			report(req, op, start, reply, err)
			return reply, err
		}
	}
	e := responseError(op, resp, c.secretsIn(req)...)
	e.Took = took
	if e.throttled() && c.cfg.Observer != nil {
		c.cfg.Observer.Throttled()
	}
	report(req, op, start, reply, e)
	return reply, e
}

// report tells who is in the request's context of it.
func report(req *http.Request, op string, start time.Time, reply Reply, err error) {
	calls.Report(req.Context(), calls.Call{Operation: op, Method: req.Method, Host: req.URL.Hostname(), Started: start, Status: reply.Status, RequestID: reply.RequestID, Err: err})
}

// answerReader is implemented by answers that are not decoded as a whole.
type answerReader interface{ readAnswer(body io.Reader) error }

// decode reads a successful answer into out. An empty answer leaves out unchanged. The
// error of an unreadable one is ambiguous: the request had its effect.
func decode(op string, reply Reply, body io.Reader, out any) error {
	if out == nil {
		return nil
	}
	var err error
	if r, ok := out.(answerReader); ok {
		err = r.readAnswer(body)
	} else {
		err = json.NewDecoder(body).Decode(out)
	}
	if err != nil && err != io.EOF {
		return unreadable(op, reply, err)
	}
	return nil
}

func (c *Client) observe(op string, status int, start time.Time) (took time.Duration) {
	took = time.Since(start)
	if c.cfg.Observer != nil {
		c.cfg.Observer.Request(op, status, took)
	}
	return took
}

// Token returns a token for the mailbox, from the cache if possible. The mailbox is
// ignored unless the SignIn has a token for each mailbox.
func (c *Client) Token(ctx context.Context, mailbox string) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.tokens.get(ctx, mailbox)
}

// WithHTTPClient returns a context that makes package oauth2 use this client's HTTP client
// for the token endpoint.
func (c *Client) WithHTTPClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.tokens.client)
}

// SignInError returns the *Error for a failed sign-in.
func (c *Client) SignInError(err error) error { return c.tokens.signInError(err) }

// newUUID returns a version 4 UUID (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c *Client) observeUnreliable() {
	if c.cfg.Observer != nil {
		c.cfg.Observer.LookupUnreliable()
	}
}
