package graph_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
)

const (
	mailbox = "anna@contoso.test"
	secret  = "s3cret~value"

	guard = 4 * time.Minute // of every wait; none is expected to take a tenth of it
)

// seen is a request as the server got it.
type seen struct {
	Method, Path, Query string
	Header              http.Header
	Length              int64
	Chunked             bool
	Body                []byte
}

// recorder records the requests that pass through it.
type recorder struct {
	http.Handler
	mu   sync.Mutex
	reqs []seen
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rec.mu.Lock()
	rec.reqs = append(rec.reqs, seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), r.ContentLength, len(r.TransferEncoding) > 0, body})
	rec.mu.Unlock()
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	rec.Handler.ServeHTTP(w, r)
}

// of returns the requests with this method, if there is one, whose path ends with suffix.
func (rec *recorder) of(method, suffix string) (found []seen) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, r := range rec.reqs {
		if (method == "" || r.Method == method) && strings.HasSuffix(r.Path, suffix) {
			found = append(found, r)
		}
	}
	return found
}

// simulated starts a simulator with RequireContract, behind a recorder.
func simulated(t *testing.T, o simulator.Options) (*simulator.Simulator, *recorder, *graph.Client) {
	t.Helper()
	o.RequireContract = true
	if o.Apps == nil {
		o.Apps = []simulator.App{{Secret: secret}}
	}
	sim := simulator.New(o)
	rec := &recorder{Handler: sim}
	c := newClient(t, serve(t, rec))
	t.Cleanup(func() {
		sim.Close()
		for _, v := range sim.Violations() {
			t.Errorf("contract: %s %s: %s", v.Operation, v.Path, v.Text)
		}
	})
	return sim, rec, c
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func newClient(t *testing.T, url string, change ...func(*graph.Config)) *graph.Client {
	t.Helper()
	cfg := graph.Config{
		Tenant: "contoso", ClientID: "app", SignIn: signIn(url, url, secret), GraphURL: url,
		UserAgent: "graphrelay/test", Concurrency: 4, Timeout: guard,
	}
	for _, f := range change {
		f(&cfg)
	}
	c := graph.New(cfg)
	t.Cleanup(c.Close)
	return c
}

func signIn(login, graphURL, secret string) graph.SignIn {
	return entra.ClientSecret{App: entra.App{Tenant: "contoso", ClientID: "app", LoginURL: login, GraphURL: graphURL}, Secret: secret}
}

const token = "bearer-token-value"

// answering starts a Graph that issues tokens and passes every other request to h.
func answering(t *testing.T, h http.HandlerFunc, change ...func(*graph.Config)) *graph.Client {
	t.Helper()
	return newClient(t, serve(t, withTokens(h)), change...)
}

func withTokens(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":%q}`, token)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// reply returns a handler that answers every request with this status and body.
func reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func message(subject string) *graph.Message {
	return &graph.Message{
		Subject:      subject,
		Body:         graph.Body{ContentType: "text", Content: "hello"},
		ToRecipients: []graph.Recipient{{EmailAddress: graph.EmailAddress{Name: "Bob", Address: "bob@contoso.test"}}},
		Properties:   []graph.Property{{ID: graph.PropertyQueueID, Value: "0q1"}},
	}
}

// draft creates a draft and returns its id.
func draft(t *testing.T, c *graph.Client) string {
	t.Helper()
	id, _, err := c.Mailbox(mailbox).CreateDraft(t.Context(), message("draft"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func file(name, content string) graph.Attachment {
	return graph.Attachment{Name: name, ContentType: "application/pdf", Size: int64(len(content)),
		Open: func() io.Reader { return strings.NewReader(content) }}
}

func graphError(t *testing.T, err error) *graph.Error {
	t.Helper()
	var e *graph.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *graph.Error", err)
	}
	return e
}

// within fails a test that would otherwise wait for the whole run's timeout.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
