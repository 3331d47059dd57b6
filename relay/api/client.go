package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

// ErrOther means that the server is no relay, or one of a version without this API.
var ErrOther = errors.New("it does not have the API of this version of graphrelay")

// maxAnswer bounds what a client reads of an answer other than the content of a message. A page of
// messages may have some hundred thousand recipients.
const maxAnswer = 64 << 20

// Client asks a relay. Its errors are those of operations, as far as callers tell these apart.
type Client struct {
	HTTP *http.Client
	URL  string // of the server, without Prefix
	// Header is sent with each request: who asks, as far as the server does not see that itself.
	Header http.Header
}

var (
	_ operations.Operations = Client{}
	_ operations.Live       = Client{}
)

// About returns which relay answers, or ErrOther.
func (c Client) About(ctx context.Context) (About, error) { return get[About](ctx, c, "/relay", nil) }

// Messages implements operations.Operations.
func (c Client) Messages(ctx context.Context, f queue.Filter) ([]operations.Message, error) {
	list, _, err := c.list(ctx, f, url.Values{}, true)
	return list, err
}

// Search implements operations.Operations.
func (c Client) Search(ctx context.Context, f queue.Filter, within time.Duration) (operations.Found, error) {
	list, looked, err := c.list(ctx, f, url.Values{"within": {strconv.FormatFloat(within.Seconds(), 'f', -1, 64)}}, false)
	return operations.Found{Messages: list, Looked: looked}, err
}

// list asks for a page at a time. It ends at the end of the list, at its limit, and, unless all is
// set, where the relay has looked when the time for a page was over.
func (c Client) list(ctx context.Context, f queue.Filter, more url.Values, all bool) (list []operations.Message, looked string, _ error) {
	list = []operations.Message{}
	limit := f.Limit
	if limit == 0 {
		limit = 1000
	}
	q := queryOf(f)
	maps.Copy(q, more)
	if f.Newest {
		q.Set("newest", "true")
	}
	for after := f.After; ; {
		if after != "" {
			q.Set("after", after)
		}
		q.Set("limit", strconv.Itoa(min(maxPage, limit-len(list))))
		page, err := get[MessageList](ctx, c, "/messages", q)
		list = append(list, page.Messages...)
		switch {
		case err != nil || page.Next == "" || len(list) >= limit:
			return list, "", err
		case page.Partial && !all:
			return list, page.Next, nil
		}
		after = page.Next
	}
}

// Count implements operations.Operations.
func (c Client) Count(ctx context.Context, f queue.Filter) (int64, error) {
	n, err := get[MessageCount](ctx, c, "/messages/count", queryOf(f))
	return n.Messages, err
}

// Message implements operations.Operations.
func (c Client) Message(ctx context.Context, id string) (operations.Message, error) {
	if !queue.ValidID(id) {
		return operations.Message{}, queue.ErrNotFound
	}
	return get[operations.Message](ctx, c, "/messages/"+id, nil)
}

// Content implements operations.Operations.
func (c Client) Content(ctx context.Context, id string, w io.Writer) error {
	if !queue.ValidID(id) {
		return queue.ErrNotFound
	}
	path := "/messages/" + id + "/content"
	damaged := c.copy(ctx, path, w)
	if errors.Is(damaged, queue.ErrDamaged) {
		if err := c.copy(ctx, path+"?damaged=true", w); err != nil {
			return err
		}
	}
	return damaged
}

// RecordReading implements operations.Operations. It does nothing: the relay that is asked for the
// content records that.
func (c Client) RecordReading(context.Context, string, operations.Reading, ...string) error {
	return nil
}

func (c Client) copy(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

// Act implements operations.Operations. It names a part of many messages at a time.
func (c Client) Act(ctx context.Context, _ string, a queue.Action, ids []string, dry bool) (results []operations.Result, _ error) {
	for len(ids) > 0 {
		n := min(len(ids), maxIDs)
		list, err := post[ActionResults](ctx, c, "/actions/"+url.PathEscape(string(a)), map[string]any{"ids": ids[:n], "dry_run": dry})
		if err != nil {
			return results, err
		}
		for _, r := range list.Results {
			var err error
			if r.Problem != nil {
				err = errorOf(*r.Problem)
			}
			results = append(results, operations.Result{ID: r.ID, Err: err})
		}
		ids = ids[n:]
	}
	return results, nil
}

// ActAll implements operations.Operations. If ctx ends before the relay has answered, it returns -1,
// since it does not know how many messages were changed.
func (c Client) ActAll(ctx context.Context, _ string, a queue.Action, f queue.Filter, dry bool) (int64, error) {
	q := queryOf(f)
	q.Set("all", "true")
	if dry {
		q.Set("dry_run", "true")
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	n, err := post[MessageCount](ctx, c, "/actions/"+url.PathEscape(string(a))+"/selection?"+q.Encode(), nil)
	var refused *refusedError
	switch {
	case ctx.Err() != nil:
		return -1, ctx.Err()
	case errors.As(err, &refused):
		changed, _ := detailAt(refused.problem, atChanged).(float64)
		return int64(changed), err
	}
	return n.Messages, err
}

// Resend implements operations.Operations.
func (c Client) Resend(ctx context.Context, _, id string, recipients []string) (string, error) {
	if !queue.ValidID(id) {
		return "", queue.ErrNotFound
	}
	m, err := post[Resent](ctx, c, "/messages/"+id+"/resend", map[string][]string{"recipients": recipients})
	return m.ID, err
}

// Lanes implements operations.Operations.
func (c Client) Lanes(ctx context.Context) ([]operations.Lane, error) {
	l, err := get[LaneList](ctx, c, "/lanes", nil)
	return l.Lanes, err
}

// Pause implements operations.Operations.
func (c Client) Pause(ctx context.Context, _, lane string, length time.Duration) error {
	b := map[string]any{"lane": lane}
	if length > 0 {
		b["seconds"] = length.Seconds()
	}
	_, err := post[struct{}](ctx, c, "/lanes/pause", b)
	return err
}

// Resume implements operations.Operations.
func (c Client) Resume(ctx context.Context, _, lane string) (int, error) {
	r, err := post[Resumed](ctx, c, "/lanes/resume", map[string]string{"lane": lane})
	return r.Pauses, err
}

// Audits implements operations.Operations.
func (c Client) Audits(ctx context.Context, limit int) ([]queue.Audit, error) {
	l, err := get[AuditList](ctx, c, "/audits", url.Values{"limit": {strconv.Itoa(limit)}})
	return l.Audits, err
}

// Nodes implements operations.Operations.
func (c Client) Nodes(ctx context.Context) ([]operations.Node, error) {
	l, err := get[NodeList](ctx, c, "/nodes", nil)
	return l.Nodes, err
}

// Drain implements operations.Operations.
func (c Client) Drain(ctx context.Context, _, node string, drain bool) error {
	path := "/nodes/drain"
	if !drain {
		path = "/nodes/undrain"
	}
	_, err := post[struct{}](ctx, c, path, map[string]string{"node": node})
	return err
}

// ReloadFile implements operations.Live.
func (c Client) ReloadFile(ctx context.Context) error {
	_, err := post[struct{}](ctx, c, "/configuration/reload", nil)
	return err
}

// DiffFile implements operations.Live.
func (c Client) DiffFile(ctx context.Context) (operations.Difference, error) {
	return get[operations.Difference](ctx, c, "/configuration/changes", nil)
}

// ConsoleLink implements operations.Live.
func (c Client) ConsoleLink(ctx context.Context, _ string) (string, error) {
	l, err := post[ConsoleLink](ctx, c, "/console/links", nil)
	return l.Link, err
}

func get[T any](ctx context.Context, c Client, path string, query url.Values) (T, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return ask[T](ctx, c, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, c Client, path string, body any) (T, error) {
	return ask[T](ctx, c, http.MethodPost, path, body)
}

func ask[T any](ctx context.Context, c Client, method, path string, body any) (v T, err error) {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return v, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&v); err != nil {
		return v, fmt.Errorf("the relay's answer cannot be read: %w", err)
	}
	return v, nil
}

// refusedError is a problem that the relay has answered.
type refusedError struct {
	error
	problem huma.ErrorModel
}

// Unwrap returns the error that the problem was made from.
func (r *refusedError) Unwrap() error { return r.error }

// do makes a request and returns an answer that is no problem.
func (c Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+Prefix+path, content)
	if err != nil {
		return nil, err
	}
	for name, values := range c.Header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which the user knows
		}
		return nil, err
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp, nil
	}
	defer resp.Body.Close()
	var p huma.ErrorModel
	if resp.Header.Get("Content-Type") != "application/problem+json" || json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p) != nil {
		return nil, fmt.Errorf("%w: %s", ErrOther, resp.Status)
	}
	return nil, &refusedError{errorOf(p), p}
}
