package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"graphrelay/internal/text"
)

// Error is the error of a request that did not get the documented success. The questions
// that callers ask of it are functions, such as NotFound.
type Error struct {
	Op         string        // the operation, such as "create" or "send"
	Status     int           // HTTP status; 0: no answer came
	Code       string        // error.code of the answer
	Message    string        // error.message of the answer, for people; it may name what is at fault, never rely on its form
	Target     string        // error.target of the answer: what is at fault, if it says so
	RequestID  string        // Graph's request-id
	Took       time.Duration // from the request until its answer began, or it failed
	RetryAfter time.Duration // 0: none was given
	Class      Class
	Reason     Reason
	// Ambiguous reports whether the request may have had its effect. If so, the effect
	// must be looked up before the request is repeated.
	Ambiguous bool
	// Unexplained reports that Graph refused the request with a code and a status that are
	// in no table. It may be the fault of the message, or pass.
	Unexplained bool

	err error
}

// Error implements error. Its text is one line without secrets.
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

// Unwrap returns the cause, which may be nil.
func (e *Error) Unwrap() error { return e.err }

func (e *Error) throttled() bool { return e.Reason == ReasonThrottled }

// errorBody is the body of an error answer (errors).
type errorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Target  string `json:"target"`
	} `json:"error"`
}

const maxErrorBody = 64 << 10

// responseError returns the error for an answer that is not the documented success.
func responseError(op string, resp *http.Response, secrets ...string) *Error {
	var b errorBody
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = json.Unmarshal(raw, &b) // an answer without JSON, such as a proxy's page, has its status alone
	e := &Error{
		Op:         op,
		Status:     resp.StatusCode,
		Code:       clip(text.Redact(b.Error.Code, secrets...)),
		Message:    clip(text.Redact(b.Error.Message, secrets...)),
		Target:     clip(text.Redact(b.Error.Target, secrets...)),
		RequestID:  clip(resp.Header.Get("request-id")),
		RetryAfter: retryAfter(resp.Header),
	}
	if e.Status == http.StatusProxyAuthRequired { // the proxy's answer, not Graph's
		return &Error{Op: op, Class: ClassConnection, Reason: ReasonNetwork, err: &ProxyError{resp.StatusCode}}
	}
	known, unexplained := classify(e.Status, e.Code)
	e.Class, e.Reason, e.Unexplained = known.class, known.reason, unexplained
	if _, ok := byCode[e.Code]; !ok && e.Status == http.StatusNotFound && slices.Contains(ofMailbox, op) {
		e.Class, e.Reason, e.Unexplained = ClassMessage, ReasonMailbox, true
	}
	// An unexpected 2xx or 3xx, or a 5xx, does not say whether the request had its effect.
	e.Ambiguous = e.Status < 400 || e.Status >= 500
	return e
}

// ofMailbox are the operations whose URL names nothing but the mailbox: no item can be what a
// 404 does not find.
var ofMailbox = []string{opCreate, opCreateMIME, opSendMail}

// errNoList is the cause where the answer to a search has no list. It does not mean that
// nothing was found: the list would be there, and empty.
var errNoList = errors.New("it has no list of results")

// unreadable returns the error for an answer with the status of success whose body is not
// usable.
func unreadable(op string, reply Reply, err error) *Error {
	return &Error{Op: op, Status: reply.Status, RequestID: reply.RequestID, Class: ClassTemporary,
		Reason: ReasonUnavailable, Ambiguous: true, err: fmt.Errorf("unreadable answer: %w", err)}
}

// transportError returns the error for a request that got no answer. It is ambiguous
// unless the request was never sent.
func transportError(op string, err error, secrets ...string) *Error {
	e := &Error{Op: op, Class: ClassTemporary, Reason: ReasonNetwork, Ambiguous: true, err: text.RedactError(scrub(err), secrets...)}
	if neverSent(err) { // the requests of other mailboxes would fail too
		e.Ambiguous, e.Class = false, ClassConnection
	}
	if errors.Is(err, context.Canceled) {
		e.Class, e.Reason = ClassTemporary, ReasonCanceled
	}
	return e
}

// scrub removes the URL from an error of net/http: an upload URL has a token in it.
func scrub(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// secretsIn returns the secrets of a request, which a server or proxy may repeat in its
// answer: the proxy's password, and the bearer token or the long values of an upload
// URL's query, one of which is a token.
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

// maxRetryAfter is the longest pause that a server can ask for.
const maxRetryAfter = time.Hour

// retryAfter returns the pause that the header asks for, 0 if none. It reads seconds, with
// a fraction as in a sample of Graph's (throttling), or a date (RFC 9110 section 10.2.3).
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

// maxText is how many bytes of a text from outside are kept.
const maxText = 500

// clip returns s shortened, on one line, with a space for each character that does not
// print. Unlike text.OneLine it leaves no kind of space but the plain one.
func clip(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text.Shorten(s, maxText))
}
