package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/api"
	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

func refusal(s string) error { return operations.Refusal(s) }

// A client returns what the operations on the queue itself return, as JSON too.
func TestClientIsLikeLocal(t *testing.T) {
	r := start(t, "one", "two", "three")
	ctx := t.Context()
	if err := r.ops.Pause(ctx, "anna", lane, time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(o operations.Operations) (any, error){
		"messages": func(o operations.Operations) (any, error) { return o.Messages(ctx, queue.Filter{}) },
		"page":     func(o operations.Operations) (any, error) { return o.Messages(ctx, queue.Filter{Limit: 2}) },
		"next":     func(o operations.Operations) (any, error) { return o.Messages(ctx, queue.Filter{After: r.ids[1]}) },
		"count":    func(o operations.Operations) (any, error) { return o.Count(ctx, queue.Filter{Subject: "t"}) },
		"message":  func(o operations.Operations) (any, error) { return o.Message(ctx, r.ids[0]) },
		"lanes":    func(o operations.Operations) (any, error) { return o.Lanes(ctx) },
		"audits":   func(o operations.Operations) (any, error) { return o.Audits(ctx, 10) },
		"nodes":    func(o operations.Operations) (any, error) { return o.Nodes(ctx) },
		"dry":      func(o operations.Operations) (any, error) { return o.Act(ctx, "", queue.Hold, r.ids, true) },
		"dry all": func(o operations.Operations) (any, error) {
			return o.ActAll(ctx, "", queue.Hold, queue.Filter{Limit: 2}, true)
		},
	} {
		want, err := ask(r.ops)
		if err != nil {
			t.Fatal(name, err)
		}
		if got, err := ask(r.client); err != nil || jsonOf(t, got) != jsonOf(t, want) {
			t.Errorf("%s: %s, %v, want %s", name, jsonOf(t, got), err, jsonOf(t, want))
		}
	}
}

// Errors keep their text and what they are.
func TestClientErrors(t *testing.T) {
	r := start(t, "one")
	ctx, id := t.Context(), r.ids[0]
	if results, err := r.client.Act(ctx, "", queue.Delete, []string{id}, false); err != nil || results[0].Err != nil {
		t.Fatal(results, err)
	}
	result := func(results []operations.Result, err error) error {
		return errors.Join(results[0].Err, err)
	}
	for name, c := range map[string]struct {
		is error
		do func(o operations.Operations) error
	}{
		"no message": {queue.ErrNotFound, func(o operations.Operations) error { _, err := o.Message(ctx, "0000000000000000"); return err }},
		"no such ID": {queue.ErrNotFound, func(o operations.Operations) error { _, err := o.Message(ctx, "../x"); return err }},
		"no content": {operations.ErrNoContent, func(o operations.Operations) error { return o.Content(ctx, id, &bytes.Buffer{}) }},
		"state":      {queue.ErrState, func(o operations.Operations) error { return result(o.Act(ctx, "", queue.Hold, []string{id}, false)) }},
		"states": {queue.ErrState, func(o operations.Operations) error {
			_, err := o.ActAll(ctx, "", queue.Hold, queue.Filter{States: []queue.State{queue.Sent}}, false)
			return err
		}},
		"no connection":   {operations.ErrLane, func(o operations.Operations) error { return o.Pause(ctx, "", "x\"y", 0) }},
		"no lane":         {operations.ErrLane, func(o operations.Operations) error { return o.Pause(ctx, "", "", 0) }},
		"not paused":      {operations.ErrNotPaused, func(o operations.Operations) error { _, err := o.Resume(ctx, "", lane); return err }},
		"not shared":      {queue.ErrNotShared, func(o operations.Operations) error { return o.Drain(ctx, "", "a", true) }},
		"not shared, too": {queue.ErrNotShared, func(o operations.Operations) error { return o.Drain(ctx, "", "a", false) }},
	} {
		want, got := c.do(r.ops), c.do(r.client)
		if !errors.Is(want, c.is) || !errors.Is(got, c.is) || got.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if err := r.client.Pause(ctx, "", "contoso", 0); err != nil {
		t.Fatal(err)
	}
	var whole *operations.PausedAsWholeError
	if _, err := r.client.Resume(ctx, "", lane); !errors.As(err, &whole) || whole.Lane != "contoso" {
		t.Errorf("paused as a whole: %v", err)
	}
}

// A search that did not end in time says where it goes on, and a list goes on by itself.
func TestClientSearch(t *testing.T) {
	r := start(t, "one", "two", "three")
	slow := &slowSearch{Local: r.ops}
	h, err := api.New(api.Config{Operations: slow})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(asAdmin(h))
	defer server.Close()
	c := api.Client{HTTP: server.Client(), URL: server.URL}
	found, err := c.Search(t.Context(), queue.Filter{Limit: 10}, 1500*time.Millisecond)
	if err != nil || len(found.Messages) != 1 || found.Looked != r.ids[0] || slow.within != 1500*time.Millisecond {
		t.Errorf("%+v, %v, within %v", found, err, slow.within)
	}
	if list, err := c.Messages(t.Context(), queue.Filter{}); err != nil || len(list) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if found, err := c.Search(t.Context(), queue.Filter{Limit: 1}, time.Second); err != nil || len(found.Messages) != 1 || found.Looked != "" {
		t.Errorf("as long as its limit: %+v, %v", found, err)
	}
	again, err := r.client.Resend(t.Context(), "", r.ids[0], []string{"bert@example.com"})
	if !errors.Is(err, queue.ErrState) {
		t.Errorf("%q, %v", again, err)
	}
}

// slowSearch finds one message at a time.
type slowSearch struct {
	operations.Local
	within time.Duration
}

func (s *slowSearch) Search(ctx context.Context, f queue.Filter, within time.Duration) (operations.Found, error) {
	s.within, f.Limit = within, 1
	found, err := s.Local.Search(ctx, f, time.Minute)
	if len(found.Messages) == 1 {
		found.Looked = found.Messages[0].ID
	}
	return found, err
}

// Actions are in the name of who made the request, whatever the client says.
func TestClientActions(t *testing.T) {
	r := start(t, "one", "two", "three")
	ctx := t.Context()
	if results, err := r.client.Act(ctx, "bert", queue.Hold, []string{r.ids[0], "0000000000000000"}, false); err != nil || results[0].Err != nil || !errors.Is(results[1].Err, queue.ErrNotFound) {
		t.Error(results, err)
	}
	if n, err := r.client.ActAll(ctx, "bert", queue.Hold, queue.Filter{States: operations.Waiting(), Subject: "t", Limit: 1}, false); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.client.ActAll(ctx, "bert", queue.Release, queue.Filter{}, false); n != 2 || err != nil {
		t.Error(n, err)
	}
	if err := r.client.Pause(ctx, "bert", lane, 90*time.Second); err != nil {
		t.Error(err)
	}
	if l, err := r.client.Lanes(ctx); err != nil || time.Until(*l[0].PausedUntil).Round(time.Minute) > 2*time.Minute {
		t.Error(l, err)
	}
	if n, err := r.client.Resume(ctx, "bert", lane); n != 1 || err != nil {
		t.Error(n, err)
	}
	var content bytes.Buffer
	if err := errors.Join(r.client.RecordReading(ctx, "bert", operations.Exported, r.ids[1]), r.client.Content(ctx, r.ids[1], &content)); err != nil || content.Len() == 0 {
		t.Error(err)
	}
	const by = "anna (API token): "
	want := []string{by + "hold " + r.ids[0] + " 0000000000000000: 1", by + "hold --limit 1 --subject t: 1", by + "release --state all: 2", by + "pause " + lane + ": 1", by + "resume " + lane + ": 1", by + "export " + r.ids[1] + ": 0"}
	if got := r.audits(t); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("on record are %q, want %q", got, want)
	}
}

// More messages than a page or a request has are listed and named in several.
func TestClientPages(t *testing.T) {
	subjects := make([]string, 450)
	for i := range subjects {
		subjects[i] = fmt.Sprint(i)
	}
	r := start(t, subjects...)
	for limit, want := range map[int]int{0: 450, 200: 200, 400: 400, 401: 401, 1000: 450} {
		list, err := r.client.Messages(t.Context(), queue.Filter{Limit: limit})
		if err != nil || len(list) != want || !slices.IsSortedFunc(list, func(a, b operations.Message) int { return strings.Compare(a.ID, b.ID) }) {
			t.Errorf("limit %d: %d messages, %v", limit, len(list), err)
		}
	}
	ids := slices.Concat(r.ids, r.ids)
	results, err := r.client.Act(t.Context(), "", queue.Hold, ids, true)
	if err != nil || len(results) != len(ids) || results[899].ID != ids[899] || len(r.audits(t)) != 0 {
		t.Error(len(results), err)
	}
}

// An action of which the answer does not come is not said to have changed nothing.
func TestClientInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		close(gone)
	}))
	defer server.Close()
	n, err := api.Client{HTTP: server.Client(), URL: server.URL}.ActAll(ctx, "", queue.Hold, queue.Filter{}, false)
	if n != -1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	<-gone
}

// brokenStore fails after a part of an action.
type brokenStore struct{ *queue.Queue }

func (brokenStore) ApplyAll(context.Context, queue.Filter, queue.Action, string) (int, error) {
	return 3, queue.ErrAway
}

func TestClientPartOfAnAction(t *testing.T) {
	r := start(t, "one")
	o := r.ops
	o.Store = brokenStore{r.ops.Store.(*queue.Queue)}
	h, err := api.New(api.Config{Operations: o, Live: r.live})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(asAdmin(h))
	defer server.Close()
	n, err := api.Client{HTTP: server.Client(), URL: server.URL}.ActAll(t.Context(), "", queue.Hold, queue.Filter{}, false)
	if n != 3 || !errors.Is(err, queue.ErrAway) || err.Error() != queue.ErrAway.Error() {
		t.Errorf("%d, %v", n, err)
	}
}

// What is left of a damaged message is written, and said to be damaged.
func TestClientDamagedContent(t *testing.T) {
	dir := t.TempDir()
	o, id := largeMessage(t, dir)
	files, err := filepath.Glob(filepath.Join(dir, "*", id+"*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 100_000); err != nil {
		t.Fatal(err)
	}
	h, err := api.New(api.Config{Operations: o})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(asAdmin(h))
	defer server.Close()
	var want, got bytes.Buffer
	local := o.Content(t.Context(), id, &want)
	remote := api.Client{HTTP: server.Client(), URL: server.URL}.Content(t.Context(), id, &got)
	if !errors.Is(local, queue.ErrDamaged) || !errors.Is(remote, queue.ErrDamaged) || local.Error() != remote.Error() || want.Len() == 0 || !bytes.Equal(want.Bytes(), got.Bytes()) {
		t.Errorf("%d bytes, %v; want %d, %v", got.Len(), remote, want.Len(), local)
	}
	status, err := http.Get(server.URL + "/api/v1/messages/" + id + "/content")
	if err != nil || status.StatusCode != http.StatusInternalServerError {
		t.Error(status, err)
	}
	_ = status.Body.Close()
	if list, err := o.Audits(t.Context(), 10); err != nil || len(list) != 1 { // only what was sent was read
		t.Error(list, err)
	}
}

// A server that is no relay of this version is told from a relay that refuses.
func TestClientOfAnotherServer(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"none": http.NotFoundHandler(),
		"page": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
	} {
		server := httptest.NewServer(h)
		c := api.Client{HTTP: server.Client(), URL: server.URL}
		if _, err := c.About(t.Context()); !errors.Is(err, api.ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
	r := start(t)
	if about, err := r.client.About(t.Context()); err != nil || about.Version != "v1.2.3" {
		t.Error(about, err)
	}
}

func TestClientLive(t *testing.T) {
	r := start(t)
	r.live.difference = operations.Difference{File: "/etc/relay.yaml", Changes: []config.Change{{Key: "hostname", From: "a", To: "b"}}}
	if d, err := r.client.DiffFile(t.Context()); err != nil || !reflect.DeepEqual(d, r.live.difference) {
		t.Errorf("%+v, %v", d, err)
	}
	if err := r.client.ReloadFile(t.Context()); err != nil || r.live.reloads != 1 {
		t.Errorf("%d reloads, %v", r.live.reloads, err)
	}
	r.live.err = refusal("one\ntwo")
	var refused operations.Refusal
	if err := r.client.ReloadFile(t.Context()); !errors.As(err, &refused) || refused != "one\ntwo" || err.Error() != "one\ntwo" {
		t.Errorf("%v", err)
	}
	r.live.err = errors.New("the relay is stopping")
	if err := r.client.ReloadFile(t.Context()); errors.As(err, &refused) || err.Error() != r.live.err.Error() {
		t.Errorf("%v", err)
	}
}

// A client sends who asks, and every answer is decoded whole.
func TestClientHeader(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_ = json.NewEncoder(w).Encode(map[string]string{"version": "v9"})
	}))
	defer server.Close()
	c := api.Client{HTTP: server.Client(), URL: server.URL, Header: http.Header{"Authorization": {"Bearer x"}}}
	if about, err := c.About(t.Context()); err != nil || about.Version != "v9" || got.Get("Authorization") != "Bearer x" {
		t.Errorf("%+v, %v, sent %v", about, err, got)
	}
}
