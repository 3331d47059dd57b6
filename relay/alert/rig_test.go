package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/testlog"
	"graphrelay/relay/attention"
	"graphrelay/relay/queue"
)

// testQueue keeps what was submitted.
type testQueue struct {
	mu     sync.Mutex
	mail   []*queue.Submission
	state  map[string]queue.Record
	paused map[queue.Lane]bool
	list   []queue.Record
	nodes  []queue.NodeStatus
	notes  map[string]string
	shared bool
	err    error
	submit func() // called after a message was queued
}

func newQueue() *testQueue {
	return &testQueue{state: map[string]queue.Record{}, paused: map[queue.Lane]bool{}, notes: map[string]string{}}
}

func (q *testQueue) Submit(_ context.Context, m *queue.Submission) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	if _, there := q.state[m.ID]; there {
		return nil
	}
	q.mail = append(q.mail, m)
	q.state[m.ID] = queue.Record{ID: m.ID, Entry: m.Entry, Status: queue.Status{State: queue.Queued}}
	if q.submit != nil {
		q.submit()
	}
	return nil
}

func (q *testQueue) Get(_ context.Context, id string) (queue.Record, []queue.Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, ok := q.state[id]
	if !ok {
		return r, nil, queue.ErrNotFound
	}
	return r, nil, nil
}

func (q *testQueue) set(id string, s queue.State) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.state[id]
	r.State = s
	q.state[id] = r
}

func (q *testQueue) Apply(_ context.Context, id string, a queue.Action, _ string) error {
	if a != queue.Delete {
		return errors.New("unexpected")
	}
	q.set(id, queue.Deleted)
	return nil
}

func (q *testQueue) List(_ context.Context, f queue.Filter) (found []queue.Record, err error) {
	for _, r := range q.list {
		if r.ID > f.After && !r.Received.Before(f.Since) && r.Received.Before(f.Before) && len(found) < f.Limit {
			found = append(found, r)
		}
	}
	return found, nil
}

func (q *testQueue) Paused(_ context.Context, l queue.Lane) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused[l], nil
}

func (q *testQueue) Nodes(context.Context) ([]queue.NodeStatus, error) {
	return slices.Clone(q.nodes), nil
}
func (q *testQueue) Shared() bool               { return q.shared }
func (q *testQueue) Now() time.Time             { return time.Now() }
func (q *testQueue) Wall(t time.Time) time.Time { return t }

func (q *testQueue) SetNote(_ context.Context, n queue.Note, keep time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	q.notes[n.Key] = n.Value
	if keep == 0 {
		delete(q.notes, n.Key)
	}
	return nil
}

func (q *testQueue) Notes(context.Context, string) (map[string]string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := map[string]string{}
	for k, v := range q.notes {
		all[k] = v
	}
	return all, q.err
}

// sent returns the subjects of the mail.
func (q *testQueue) sent() (subjects []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.mail {
		subjects = append(subjects, m.Subject)
	}
	return subjects
}

// hook is a webhook.
type hook struct {
	mu      sync.Mutex
	answer  int // 0: 200
	after   string
	err     error
	keys    []string // of the requests
	bodies  []string
	headers []http.Header
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body := ""
	if r.Body != nil {
		data, _ := io.ReadAll(r.Body)
		body = string(data)
	}
	h.keys, h.bodies, h.headers = append(h.keys, r.Header.Get("Webhook-Id")), append(h.bodies, body), append(h.headers, r.Header)
	if h.err != nil {
		return nil, h.err
	}
	status := h.answer
	if status == 0 {
		status = http.StatusOK
	}
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok")), Request: r}
	if h.after != "" {
		resp.Header.Set("Retry-After", h.after)
	}
	return resp, nil
}

func (h *hook) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.keys...)
}

func (h *hook) set(answer int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// rig is a manager whose conditions the test sets.
type rig struct {
	*Manager
	t        *testing.T
	queue    *testQueue
	hook     *hook
	file     string
	settings Settings
	redirect *string // of the condition RedirectAll
	devices  *[]attention.Device
	registry *prometheus.Registry
	log      *testlog.Buffer
}

var (
	laneA = queue.Lane{Connection: "contoso", Mailbox: "relay@contoso.test"}
	laneB = queue.Lane{Connection: "fabrikam", Mailbox: "relay@fabrikam.test"}
)

// newRig returns a manager with a channel for mail and one for a webhook.
func newRig(t *testing.T, q *testQueue) *rig {
	h := &hook{}
	before := client.Transport
	client.Transport = h
	t.Cleanup(func() { client.Transport = before })
	r := &rig{t: t, queue: q, hook: h, file: filepath.Join(t.TempDir(), "alerts.json"), redirect: new(string), devices: new([]attention.Device), log: &testlog.Buffer{}}
	r.settings = Settings{
		Host: "relay.test", PerHour: 20, Sends: func(string) bool { return true }, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Channels: []Channel{
			{Name: "operators", To: []string{"ops@contoso.test", "night@contoso.test"}, From: []queue.Lane{laneA, laneB}, Severity: attention.Warning},
			{Name: "chat", URL: "https://hooks.test/secret-token", Format: "json", Severity: attention.Warning},
		},
	}
	r.start("node-1")
	return r
}

// start begins as another process.
func (r *rig) start(node string) {
	r.t.Helper()
	r.registry = prometheus.NewRegistry()
	m, err := New(Config{Queue: r.queue, Node: node, File: r.file, Ready: func() error { return nil }, Metrics: NewMetrics(r.registry)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Manager = m
	kinds := func() []attention.Kind {
		all := attention.Catalogue()
		for i := range all {
			all[i].For = 0
			all[i].Clear = time.Minute
		}
		return all
	}
	redirect, devices := r.redirect, r.devices
	m.Attach(attention.New(attention.State{Redirect: func() string { return *redirect }, RefusedDevices: func(time.Time) []attention.Device { return *devices }},
		kinds, time.Now, slog.New(slog.DiscardHandler)))
	m.Apply(r.settings)
}

// look looks once, and waits until the channels have done what they can.
func (r *rig) look() {
	r.evaluator.Look(r.t.Context())
	r.Step(r.t.Context())
	synctest.Wait()
}

// pass looks every 15 seconds for some time.
func (r *rig) pass(d time.Duration) {
	for ; d > 0; d -= 15 * time.Second {
		time.Sleep(15 * time.Second)
		r.look()
	}
}

func (r *rig) only() Incident {
	r.t.Helper()
	list, err := r.List(r.t.Context(), true)
	if err != nil || len(list) != 1 {
		r.t.Fatalf("%d incidents, %v", len(list), err)
	}
	return list[0]
}

func want[T any](t *testing.T, what string, got T, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n%v, want\n%v", what, got, want)
	}
}
