package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
)

// maxBody is how many bytes of an answer are read.
const maxBody = 4 << 20

// answer is the answer to one request. Its err is nil for a success that could be read.
type answer struct {
	graph.RawAnswer
	err error
}

// code returns Graph's code for a refusal, or "".
func (a answer) code() string { return asError(a.err).Code }

// is reports whether the status is one of these.
func (a answer) is(status ...int) bool { return slices.Contains(status, a.Status) && a.Status != 0 }

// String returns the status with the code, or why no answer came.
func (a answer) String() string {
	switch {
	case a.Status == 0 && a.err != nil:
		return "no answer: " + a.err.Error()
	case a.code() != "":
		return fmt.Sprintf("%d %s", a.Status, a.code())
	case a.err != nil && a.Status < http.StatusMultipleChoices:
		return a.err.Error()
	}
	return fmt.Sprint(a.Status)
}

// decode reads the answer into v. It returns false if that is not possible.
func (a answer) decode(v any) bool { return a.err == nil && json.Unmarshal(a.Body, v) == nil }

// do makes a request, after a pause that Graph has asked for.
func (p *Probe) do(ctx context.Context, r graph.RawRequest) answer {
	p.sleepUntil(ctx, p.resume)
	return p.doNow(ctx, r)
}

// doNow makes a request.
func (p *Probe) doNow(ctx context.Context, r graph.RawRequest) (a answer) {
	r.Mailbox = p.o.Mailbox // owners' tokens are kept by address
	a.RawAnswer, a.err = p.client.Raw(ctx, r, maxBody)
	return a
}

// pause notes a pause that an answer asks for, and the form of it.
func (p *Probe) pause(a answer) {
	if a.Status != http.StatusTooManyRequests && a.Status != http.StatusServiceUnavailable {
		return
	}
	p.facts.set(factRetryAfter, retryForm(a.RetryAfter))
	if _, wait := graph.WhyAndWhen(a.err); wait > 0 {
		p.resume = time.Now().Add(min(wait, p.w.Throttle))
	}
}

// retryForm returns the form of a Retry-After header.
func retryForm(value string) string {
	switch {
	case value == "":
		return "none"
	case strings.Trim(value, "0123456789") == "":
		return "seconds"
	case strings.Trim(value, "0123456789.") == "":
		return "fraction"
	}
	if _, err := http.ParseTime(value); err == nil {
		return "date"
	}
	return "other"
}

// call makes a request to the mailbox, and notes a pause that Graph asks for.
func (p *Probe) call(ctx context.Context, r graph.RawRequest) answer {
	r.Path = "/users/" + url.PathEscape(p.key) + r.Path
	a := p.do(ctx, r)
	p.pause(a)
	return a
}

func (p *Probe) get(ctx context.Context, path string, query url.Values) answer {
	return p.call(ctx, graph.RawRequest{Op: "get", Method: http.MethodGet, Path: path, Query: query})
}

// post makes a POST with v as JSON, or without a body if v is nil.
func (p *Probe) post(ctx context.Context, op, path string, v any) answer {
	r := graph.RawRequest{Op: op, Method: http.MethodPost, Path: path}
	if v != nil {
		body := marshal(v)
		r.ContentType, r.Body, r.Length = "application/json", bytes.NewReader(body), int64(len(body))
	}
	return p.call(ctx, r)
}

// postMIME makes a POST with a message in MIME.
func (p *Probe) postMIME(ctx context.Context, op, path string, message []byte) answer {
	body := base64Text(message)
	return p.call(ctx, graph.RawRequest{Op: op, Method: http.MethodPost, Path: path, ContentType: "text/plain",
		Body: strings.NewReader(body), Length: int64(len(body))})
}

func (p *Probe) delete(ctx context.Context, id string) answer {
	return p.call(ctx, graph.RawRequest{Op: "delete", Method: http.MethodDelete, Path: itemPath(id)})
}

func (p *Probe) permanentDelete(ctx context.Context, id string) answer {
	return p.post(ctx, "permanent_delete", itemPath(id)+"/permanentDelete", nil)
}

// send asks for the item to be sent, and notes that its copies are to be removed.
func (p *Probe) send(ctx context.Context, id, subject string, recipients ...string) answer {
	a := p.post(ctx, "send", itemPath(id)+"/send", nil)
	p.noteSend(a, subject, recipients...)
	return a
}

func itemPath(id string) string { return "/messages/" + url.PathEscape(id) }

// wantList makes an error of a success that is not 200 or, if has is false, has no list.
func (a *answer) wantList(has bool) {
	if a.err == nil && (!a.is(http.StatusOK) || !has) {
		a.err = fmt.Errorf("%d, but its answer is no list", a.Status)
	}
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // cannot fail with the types of this package
	return b.Bytes()
}

// until calls look until it returns true, the time is over, or ctx ends. It returns the time
// that went by before the last look, and whether look returned true. The first look is made at
// once.
func (p *Probe) until(ctx context.Context, limit time.Duration, look func() bool) (time.Duration, bool) {
	return p.untilEvery(ctx, p.w.Poll, limit, look)
}

// slowly is until for what takes long, with longer pauses between the looks.
func (p *Probe) slowly(ctx context.Context, limit time.Duration, look func() bool) (time.Duration, bool) {
	return p.untilEvery(ctx, 8*p.w.Poll, limit, look)
}

func (p *Probe) untilEvery(ctx context.Context, pause, limit time.Duration, look func() bool) (time.Duration, bool) {
	start := time.Now()
	for {
		at := time.Since(start)
		if look() {
			return at, true
		}
		if time.Since(start) >= limit || !p.sleep(ctx, pause) {
			return at, false
		}
	}
}

// sleep waits, and reports whether ctx has not ended.
func (p *Probe) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (p *Probe) sleepUntil(ctx context.Context, t time.Time) {
	if d := time.Until(t); d > 0 {
		p.sleep(ctx, d)
	}
}

// zeros is an endless reader of zero bytes.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// filler returns a reader of n bytes.
func filler(n int64) io.Reader { return io.LimitReader(zeros{}, n) }
