package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"graphrelay/relay/api"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

const lane = "contoso/crm@contoso.test"

// relay is an API on a queue of its own.
type relay struct {
	ops     operations.Local
	live    *stubLive
	edge    *stubEdge
	signIns *stubSignIns
	alerts  *stubAlerts
	client  api.Client
	server  *httptest.Server
	ids     []string
	// person makes the requests.
	person operators.Person
	// answered has the operations that were asked for, with the status of each answer.
	answered map[string]bool
}

// stubLive is what a test says of a running relay.
type stubLive struct {
	operations.Live
	difference operations.Difference
	err        error
	reloads    int
}

func (s *stubLive) ReloadFile(context.Context) error {
	s.reloads++
	return s.err
}

func (s *stubLive) ConsoleLink(_ context.Context, by string) (string, error) {
	return "http://localhost/console/link?token=of-" + by, s.err
}

func (s *stubLive) DiffFile(context.Context) (operations.Difference, error) {
	return s.difference, s.err
}

// start serves the API on a queue that has messages with these subjects. Each answer is held
// against the description.
func start(t *testing.T, subjects ...string) *relay {
	t.Helper()
	q, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	r := &relay{live: &stubLive{}, edge: &stubEdge{}, signIns: &stubSignIns{}, alerts: &stubAlerts{}, person: operators.Person{Name: "anna", Role: operators.Admin, Way: operators.ByToken}, answered: map[string]bool{}}
	for _, subject := range subjects {
		r.ids = append(r.ids, put(t, q, subject))
	}
	slices.Sort(r.ids) // those of one millisecond are in no order
	r.ops = operations.Local{Store: q, Connections: func() []string { return []string{"contoso"} }}
	h, err := api.New(api.Config{Operations: r.ops, Live: r.live, Edge: r.edge, SignIns: r.signIns, Alerts: r.alerts, Overview: stubOverview{}, Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	d := describe(t, h)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		d.check(t, r, h, w, req.WithContext(operators.With(req.Context(), r.person)))
	}))
	t.Cleanup(r.server.Close)
	r.client = api.Client{HTTP: r.server.Client(), URL: r.server.URL}
	return r
}

func put(t *testing.T, q *queue.Queue, subject string) (id string) {
	t.Helper()
	w, err := q.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("Subject: x\r\n\r\ntext\r\n"))
	e := queue.Entry{Envelope: queue.Envelope{From: "crm@contoso.test", To: []string{"anna@example.com"}, DSN: queue.DSN{Return: "HDRS", Recipients: map[string]queue.RecipientDSN{"anna@example.com": {Notify: []string{"NEVER"}}}}},
		Lane: queue.ParseLane(lane), Subject: subject, MessageID: "<" + subject + "@x>", Listener: "devices", Client: "192.0.2.1"}
	if err := w.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

// description is the OpenAPI description of an API.
type description struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

const documentURL = "https://relay.test/openapi.json"

// describe reads the description, as clients do.
func describe(t *testing.T, h http.Handler) description {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, api.DescriptionPath, nil))
	v, err := jsonschema.UnmarshalJSON(rec.Body)
	if err != nil || rec.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatal(rec.Code, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(documentURL, v); err != nil {
		t.Fatal(err)
	}
	return description{v.(map[string]any), c}
}

// at returns what is in the description under these keys, or nil.
func (d description) at(keys ...string) any {
	var v any = d.document
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// schema compiles the schema under these keys.
func (d description) schema(keys ...string) (*jsonschema.Schema, error) {
	var pointer strings.Builder
	for _, k := range keys {
		pointer.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k))
	}
	return d.compiler.Compile(documentURL + "#" + pointer.String())
}

// path returns the path in the description that a request is for.
func (d description) path(r *http.Request) string {
	mux := http.NewServeMux()
	for path := range d.at("paths").(map[string]any) {
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) {})
	}
	_, pattern := mux.Handler(r)
	return pattern
}

// check serves a request and holds the answer against the description.
func (d description) check(t *testing.T, of *relay, h http.Handler, w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
	path := d.path(r)
	if path == "" || r.URL.Path == api.DescriptionPath {
		return
	}
	method, status := strings.ToLower(r.Method), fmt.Sprint(rec.Code)
	name := fmt.Sprint(d.at("paths", path, method, "operationId"), " ", status)
	of.answered[name] = true
	response := d.at("paths", path, method, "responses", status)
	switch content := d.at("paths", path, method, "responses", status, "content"); {
	case response == nil:
		t.Errorf("%s: the status is not described: %s", name, rec.Body)
	case content == nil && rec.Body.Len() > 0:
		t.Errorf("%s: a body is not described: %s", name, rec.Body)
	case content != nil:
		kind := rec.Header().Get("Content-Type")
		s, err := d.schema("paths", path, method, "responses", status, "content", kind, "schema")
		if err != nil {
			t.Errorf("%s: %s: %v", name, kind, err)
		} else if kind != "message/rfc822" {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Body.Bytes()))
			if err == nil {
				err = s.Validate(v)
			}
			if err != nil {
				t.Errorf("%s: %v in %s", name, err, rec.Body)
			}
		}
	}
}

// do makes a request, and returns the status and the body of the answer.
func (r *relay) do(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	return resp.StatusCode, b.String()
}

// want makes a request and wants a status, and pieces in the answer.
func (r *relay) want(t *testing.T, method, path, body string, status int, pieces ...string) {
	t.Helper()
	got, answer := r.do(t, method, path, body)
	missing := slices.DeleteFunc(slices.Clone(pieces), func(p string) bool { return strings.Contains(answer, p) })
	if got != status || len(missing) > 0 {
		t.Errorf("%s %s %s: %d, want %d; missing %q in %s", method, path, body, got, status, missing, answer)
	}
}

// audits returns what was done, one line each, sorted: records of one millisecond are in no order.
func (r *relay) audits(t *testing.T) (lines []string) {
	t.Helper()
	list, err := r.ops.Audits(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		lines = append(lines, fmt.Sprintf("%s: %s %s: %d", a.By, a.Action, a.On, a.Changed))
	}
	slices.Sort(lines)
	return lines
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func asAdmin(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(operators.With(r.Context(), operators.Person{Name: "anna", Role: operators.Admin})))
	})
}

// largeMessage returns the operations on a queue with a message that has a file of its own.
func largeMessage(t *testing.T, dir string) (o operations.Local, id string) {
	t.Helper()
	q, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	w, err := q.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(bytes.Repeat([]byte("0123456789abcde\n"), 20_000))
	if err := w.Commit(t.Context(), queue.Entry{Envelope: queue.Envelope{To: []string{"anna@example.com"}}, Lane: queue.ParseLane(lane)}); err != nil {
		t.Fatal(err)
	}
	return operations.Local{Store: q, Connections: func() []string { return nil }}, w.ID()
}
