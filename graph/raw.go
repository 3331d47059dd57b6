package graph

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// RawRequest is a request whose answer is wanted as it is.
type RawRequest struct {
	Op          string // for metrics, and to explain an error; such as "create"
	Method      string
	Mailbox     string     // whose token is used, as for Client.Token
	Path        string     // below /v1.0, escaped; starts with a slash
	UploadURL   string     // of an upload session, in place of Path; no token is sent to it
	Query       url.Values // with Path only
	ContentType string
	Header      http.Header
	Body        io.Reader // nil: none
	Length      int64     // of Body
}

// RawAnswer is what came back.
type RawAnswer struct {
	Reply
	RetryAfter string // the header as it is, on one line
	Body       []byte // of a success, at most the limit that Raw was given
	Took       time.Duration
}

// Raw makes one request, for tools that look at what Graph answers. Unlike the requests of a
// Mailbox it is not held back by limits or pauses, it is never repeated, and every status
// below 300 is success. Any other answer, or none, is an *Error as of those requests. At most
// limit bytes of a success are read.
func (c *Client) Raw(ctx context.Context, r RawRequest, limit int64) (RawAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := c.rawRequest(ctx, r)
	if err != nil {
		return RawAnswer{}, err
	}
	setCommonHeaders(req.Header, c.cfg.UserAgent)
	start := time.Now()
	resp, err := c.http.Do(req)
	took := time.Since(start)
	if err != nil {
		c.observe(r.Op, 0, start)
		return RawAnswer{Took: took}, transportError(r.Op, err, c.secretsIn(req)...)
	}
	defer resp.Body.Close()
	c.observe(r.Op, resp.StatusCode, start)
	a := RawAnswer{Reply: Reply{Status: resp.StatusCode, RequestID: clip(resp.Header.Get("request-id"))},
		RetryAfter: clip(resp.Header.Get("Retry-After")), Took: took}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return a, responseError(r.Op, resp, c.secretsIn(req)...)
	}
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return a, unreadable(r.Op, a.Reply, err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 8<<20) // so that the connection can be reused
	return a, nil
}

// rawRequest returns the request, with a token unless it is for an upload URL.
func (c *Client) rawRequest(ctx context.Context, r RawRequest) (*http.Request, error) {
	target := r.UploadURL
	if target == "" {
		target = c.cfg.GraphURL + "/v1.0" + r.Path
		if len(r.Query) > 0 {
			target += "?" + strings.ReplaceAll(r.Query.Encode(), "+", "%20") // as in attempt
		}
	} else if err := c.checkUploadURL(target); err != nil {
		return nil, &Error{Op: r.Op, Class: ClassTemporary, Reason: ReasonUnavailable, err: err}
	}
	body := r.Body
	if body == nil {
		body = http.NoBody // so that a POST has Content-Length: 0
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, target, body)
	if err != nil {
		return nil, &Error{Op: r.Op, Class: ClassMessage, Reason: ReasonInvalid, err: scrub(err)}
	}
	req.ContentLength = r.Length
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	req.Header.Set("Accept", "application/json")
	if r.UploadURL != "" {
		return req, nil
	}
	token, err := c.Token(ctx, r.Mailbox)
	if err != nil {
		return nil, err
	}
	token.SetAuthHeader(req)
	return req, nil
}
