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

// maxRepeats is how often a request is repeated, and maxPauses how many times the longest pause
// a run waits in all.
const (
	maxRepeats = 3
	maxPauses  = 10
)

// do makes a request with the body, which may be nil, after a pause that Graph has asked for. If
// Graph throttles the request or is busy, do repeats it.
func (p *Probe) do(ctx context.Context, r graph.RawRequest, body func() io.Reader) answer {
	for n := 0; ; n++ {
		p.sleepUntil(ctx, p.resume)
		if body != nil {
			r.Body = body()
		}
		a := p.doNow(ctx, r)
		p.pause(a)
		if ctx.Err() != nil || !p.again(a, r.Op, n) {
			return a
		}
	}
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

// again reports whether a request is to be repeated, after the pause that it notes. n is how
// often it was repeated. It notes for the step's result what it decides.
func (p *Probe) again(a answer, op string, n int) bool {
	if !a.is(http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout) {
		return false
	}
	_, wait := graph.WhyAndWhen(a.err)
	asked := wait > 0
	if !asked {
		wait = min(p.w.Poll<<(3+n), p.w.Throttle)
	}
	switch {
	case a.Status != http.StatusTooManyRequests && (op == "send" || op == "sendmail"):
		p.repeats.note("%d is not repeated, since the message may have been sent", a.Status)
		return false
	case wait > p.w.Throttle:
		p.repeats.note("%d is not repeated, since Graph asks for a pause of %s", a.Status, wait.Round(time.Second))
		return false
	case n == maxRepeats || p.repeats.paused+wait > maxPauses*p.w.Throttle:
		p.repeats.note("%d, repeated %d times", a.Status, n)
		return false
	case asked:
		p.repeats.note("%d is repeated after the %s that Graph asks for", a.Status, wait.Round(time.Millisecond))
	default:
		p.repeats.note("%d is repeated after %s", a.Status, wait.Round(time.Millisecond))
	}
	p.repeats.paused += wait
	p.resume = time.Now().Add(wait)
	return true
}

// repeats is what became of requests that Graph throttled or was too busy for.
type repeats struct {
	paused time.Duration // in the whole run
	notes  []string      // of the step
	more   int           // notes that are left out
}

// maxNotes is how many notes a step's result has.
const maxNotes = 4

func (r *repeats) note(format string, args ...any) {
	if len(r.notes) == maxNotes {
		r.more++
		return
	}
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// report adds the notes to the result of the step, and begins anew.
func (r *repeats) report(result *Result) {
	for _, note := range r.notes {
		result.saw("%s", note)
	}
	if r.more > 0 {
		result.saw("and %d more such answers", r.more)
	}
	r.notes, r.more = nil, 0
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

// call makes a request to the mailbox.
func (p *Probe) call(ctx context.Context, r graph.RawRequest, body func() io.Reader) answer {
	r.Path = "/users/" + url.PathEscape(p.key) + r.Path
	return p.do(ctx, r, body)
}

func (p *Probe) get(ctx context.Context, path string, query url.Values) answer {
	return p.call(ctx, graph.RawRequest{Op: "get", Method: http.MethodGet, Path: path, Query: query}, nil)
}

// post makes a POST with v as JSON, or without a body if v is nil.
func (p *Probe) post(ctx context.Context, op, path string, v any) answer {
	r := graph.RawRequest{Op: op, Method: http.MethodPost, Path: path}
	if v == nil {
		return p.call(ctx, r, nil)
	}
	body := marshal(v)
	r.ContentType, r.Length = "application/json", int64(len(body))
	return p.call(ctx, r, func() io.Reader { return bytes.NewReader(body) })
}

// postMIME makes a POST with a message in MIME.
func (p *Probe) postMIME(ctx context.Context, op, path string, message []byte) answer {
	body := base64Text(message)
	return p.call(ctx, graph.RawRequest{Op: op, Method: http.MethodPost, Path: path, ContentType: "text/plain", Length: int64(len(body))},
		func() io.Reader { return strings.NewReader(body) })
}

func (p *Probe) delete(ctx context.Context, id string) answer {
	return p.call(ctx, graph.RawRequest{Op: "delete", Method: http.MethodDelete, Path: itemPath(id)}, nil)
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

// filler returns readers of n bytes.
func filler(n int64) func() io.Reader {
	return func() io.Reader { return io.LimitReader(zeros{}, n) }
}
