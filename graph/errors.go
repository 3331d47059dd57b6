package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"graphrelay/internal/text"
)

// Error is any answer that is not the documented success, or no answer.
type Error struct {
	Op         string
	Status     int    // 0: no answer
	Code       string // error.code of the answer
	Message    string // error.message; for people, never to branch on
	RequestID  string
	RetryAfter time.Duration // 0: not said
	Class      Class
	Reason     Reason
	// Ambiguous: the effect may have happened. It must be looked for before the
	// request is made again.
	Ambiguous bool

	err error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("graph " + e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.err != nil {
		b.WriteString(": " + clip(e.err.Error()))
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.err }

func (e *Error) throttled() bool { return e.Reason == ReasonThrottled }

// errorBody is Graph's error (concepts/errors.md). Names are matched without
// regard to case, as encoding/json does: innerError is seen in both forms.
type errorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

const maxErrorBody = 64 << 10

func responseError(op string, resp *http.Response, secrets ...string) *Error {
	var b errorBody
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = json.Unmarshal(raw, &b) // a proxy's page is no JSON: the status has to do
	e := &Error{
		Op:         op,
		Status:     resp.StatusCode,
		Code:       clip(text.Redact(b.Error.Code, secrets...)),
		Message:    clip(text.Redact(b.Error.Message, secrets...)),
		RequestID:  clip(resp.Header.Get("request-id")),
		RetryAfter: retryAfter(resp.Header),
	}
	if e.Status == http.StatusProxyAuthRequired { // no answer of Graph's
		return &Error{Op: op, Class: ClassConnection, Reason: ReasonNetwork, err: &ProxyError{resp.StatusCode}}
	}
	e.Class, e.Reason = classify(e.Status, e.Code)
	// An unknown 2xx or 3xx, and a server that failed, say nothing of the effect.
	e.Ambiguous = e.Status < 400 || e.Status >= 500
	return e
}

// errNoList: nothing listed is an empty list. A missing one says nothing.
var errNoList = errors.New("it has no list")

// unreadable is the error of an answer that says success and nothing to go by.
func unreadable(op string, reply Reply, err error) *Error {
	return &Error{Op: op, Status: reply.Status, RequestID: reply.RequestID, Class: ClassTemporary,
		Reason: ReasonUnavailable, Ambiguous: true, err: fmt.Errorf("unreadable answer: %w", err)}
}

// transportError: no answer came. Only where the connection was never made is it
// sure that nothing happened.
func transportError(op string, err error, secrets ...string) *Error {
	e := &Error{Op: op, Class: ClassTemporary, Reason: ReasonNetwork, Ambiguous: true, err: text.RedactError(scrub(err), secrets...)}
	if neverSent(err) { // every mailbox's requests go the same way
		e.Ambiguous, e.Class = false, ClassConnection
	}
	if errors.Is(err, context.Canceled) {
		e.Class, e.Reason = ClassTemporary, ReasonCanceled
	}
	return e
}

// scrub removes the URL from an error of net/http: an upload URL carries a token.
func scrub(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// secretsIn are what a server or proxy was given to be let in, and may repeat: the
// proxy's password, and the token of the header or the long values in an upload URL,
// one of which is a token.
func (c *Client) secretsIn(r *http.Request) (list []string) {
	list = proxySecrets(c.cfg.Proxy)
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return append(list, token)
	}
	for _, values := range r.URL.Query() {
		for _, v := range values {
			if len(v) >= 16 {
				list = append(list, v)
			}
		}
	}
	return list
}

// maxRetryAfter bounds what a server may ask us to wait.
const maxRetryAfter = time.Hour

// retryAfter reads seconds, fractions of them, or a date (RFC 9110 section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	var d time.Duration
	if s, err := strconv.ParseFloat(v, 64); s >= maxRetryAfter.Seconds() { // infinite, with an error, out of range
		d = maxRetryAfter
	} else if err == nil && s >= 0 {
		d = time.Duration(s * float64(time.Second))
	} else if t, err := http.ParseTime(v); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), maxRetryAfter)
}

// maxText bounds what of an answer is kept for people.
const maxText = 500

// clip makes text from outside safe for one line of a log.
func clip(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text.Shorten(s, maxText))
}
