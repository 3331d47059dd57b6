package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/flow"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// testRelay is a relay with a fixed content.
type testRelay struct {
	operations.Operations
	audits     []queue.Audit
	conditions []operations.Condition
	series     flow.Series
	mailboxes  []operations.Mailbox
	nodes      []operations.Node
	asked      *[]string // what actions were asked for
	err        error
}

func (r testRelay) Stats(ctx context.Context) (queue.Stats, error) {
	return queue.Stats{Messages: map[queue.State]int64{queue.Queued: 12345, queue.Held: 2}, Bytes: 5_300_000}, errors.Join(r.err, ctx.Err())
}

func (r testRelay) Attention(context.Context) []operations.Condition   { return r.conditions }
func (r testRelay) Flow(time.Duration, time.Duration) flow.Series      { return r.series }
func (r testRelay) Audits(context.Context, int) ([]queue.Audit, error) { return r.audits, r.err }

func (r testRelay) Describe(context.Context, string) (operations.Description, error) {
	return operations.Description{}, r.err
}

func (r testRelay) Search(context.Context, queue.Filter, time.Duration) (operations.Found, error) {
	return operations.Found{}, r.err
}

func (r testRelay) Mailboxes(context.Context) ([]operations.Mailbox, error) {
	return r.mailboxes, r.err
}

func (r testRelay) ask(format string, args ...any) error {
	if r.asked != nil {
		*r.asked = append(*r.asked, fmt.Sprintf(format, args...))
	}
	return r.err
}

func (r testRelay) Pause(_ context.Context, by, lane string, length time.Duration) error {
	return r.ask("%s pauses %s for %v", by, lane, length)
}

func (r testRelay) Resume(_ context.Context, by, lane string) (int, error) {
	return 2, r.ask("%s resumes %s", by, lane)
}

func (r testRelay) Drain(_ context.Context, by, node string, drain bool) error {
	return r.ask("%s drains %s: %v", by, node, drain)
}

func (r testRelay) Nodes(context.Context) ([]operations.Node, error) { return r.nodes, nil }

// at is when the tests' pages are made.
var at = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func testConsole(r testRelay) (*Console, *http.ServeMux) {
	c := New(Config{Ops: r, Live: r, Configuration: testConfiguration{}, Edge: &testEdge{}, SignIns: &testSignIns{}, Hostname: func() string { return "relay.contoso.test" }, Version: "1.0", ShowContent: func() bool { return true },
		BaseURL: func() string { return "https://relay.contoso.test" }, Log: func() *slog.Logger { return slog.New(slog.DiscardHandler) }})
	c.now = func() time.Time { return at }
	mux := http.NewServeMux()
	c.Register(mux)
	return c, mux
}

// get gets a page as an administrator.
func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(operators.With(r.Context(), operators.Person{Name: "anna", Role: operators.Admin, Way: operators.ByConsole})))
	return w
}

// TestPages checks the frame of the pages, and that nothing in them needs a looser policy.
func TestPages(t *testing.T) {
	_, mux := testConsole(testRelay{})
	for _, p := range pages() {
		if p.name == "" {
			continue
		}
		w := get(mux, "/console/"+p.path)
		body := w.Body.String()
		if w.Code != http.StatusOK {
			t.Errorf("%s answers %d: %s", p.path, w.Code, body)
			continue
		}
		for _, want := range []string{`<a href="/console/` + p.path + `" aria-current="page">`, "<h1>", `class="skip"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %s", p.path, want)
			}
		}
		for _, never := range []string{"<style", "style=", "onclick=", "javascript:", "http://", "https://"} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %s", p.path, never)
			}
		}
		if strings.Count(body, "<script") != strings.Count(body, `<script src="/_look/`) {
			t.Errorf("%s has a script of its own", p.path)
		}
	}
}

// TestLivePart checks that htmx gets the live part alone.
func TestLivePart(t *testing.T) {
	_, mux := testConsole(testRelay{})
	w := get(mux, "/console/", "HX-Request", "true")
	if body := w.Body.String(); !strings.Contains(body, "12,345") || strings.Contains(body, "<html") || w.Header().Get("Vary") != "HX-Request" {
		t.Errorf("%v %s", w.Header(), body)
	}
}

// TestErrors checks that an error is a page that says what went wrong, whatever its text holds.
func TestErrors(t *testing.T) {
	_, mux := testConsole(testRelay{err: errors.New("disk <script>alert(1)</script>")})
	if w := get(mux, "/console/"); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "disk &lt;script&gt;") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, mux = testConsole(testRelay{err: context.DeadlineExceeded})
	if w := get(mux, "/console/"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "did not answer in time") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(mux, "/console/nothing"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no such page") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestAudit checks that texts from outside are inert.
func TestAudit(t *testing.T) {
	_, mux := testConsole(testRelay{audits: []queue.Audit{
		{ID: "1", At: at.Add(-3 * time.Hour), By: "older", Action: "hold", On: "M1", Changed: 1},
		{ID: "2", At: at.Add(-time.Minute), By: `"><img src=x onerror=alert(1)>`, Action: "release", On: "M2", Changed: 2},
	}})
	body := get(mux, "/console/audit").Body.String()
	if strings.Contains(body, "<img src=x") || !strings.Contains(body, "&lt;img src=x") {
		t.Error("a name is not inert")
	}
	if !strings.Contains(body, "1 min ago") || strings.Index(body, "M2") > strings.Index(body, "M1") {
		t.Error(body)
	}
}

// TestBound checks that too many requests at a time are refused, and that their slots come back.
func TestBound(t *testing.T) {
	c, mux := testConsole(testRelay{})
	for range maxRequests {
		c.slots <- struct{}{}
	}
	if w := get(mux, "/console/"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d", w.Code)
	}
	for range maxRequests {
		<-c.slots
	}
	for range 2 * maxRequests {
		if w := get(mux, "/console/"); w.Code != http.StatusOK {
			t.Fatalf("%d", w.Code)
		}
	}
}

// TestAction checks that a form is answered with a redirect, and that the next page alone shows
// what became of it, in the browser that sent it.
func TestAction(t *testing.T) {
	c, _ := testConsole(testRelay{})
	var fails error
	a := action{path: "audit/try", do: func(_ *Console, r *http.Request) (string, error) {
		return "Done with " + r.PostForm.Get("what") + ".", fails
	}}
	h := c.serve(func(w http.ResponseWriter, r *http.Request) { c.act(w, r, auditPage(), a) })
	page := c.serve(func(w http.ResponseWriter, r *http.Request) { c.show(w, r, auditPage()) })
	post := func(body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/console/audit/try", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, test := range []struct {
		body, back, want string
		err              error
	}{
		{"what=<b>it</b>", "/console/audit", `good" role="status">Done with &lt;b&gt;it&lt;/b&gt;.`, nil},
		{"back=/console/audit%3Fq=1", "/console/audit?q=1", `bad" role="alert">It is &lt;full&gt;`, errors.New("it is <full>")},
		{"back=https://evil.test/", "/console/audit", "Done", nil},
		{"back=//evil.test/console/", "/console/audit", "Done", nil},
		{"back=/console//evil.test", "/console/audit", "Done", nil},
	} {
		fails = test.err
		w := post(test.body)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != test.back {
			t.Errorf("%s: %d to %s", test.body, w.Code, w.Header().Get("Location"))
		}
		cookie := w.Result().Cookies()[0]
		if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode {
			t.Errorf("the cookie is %v", cookie)
		}
		if other := get(page, "/console/audit").Body.String(); strings.Contains(other, test.want) {
			t.Errorf("%s: another browser sees it", test.body)
		}
		if body := get(page, "/console/audit", "Cookie", cookie.Name+"="+cookie.Value).Body.String(); !strings.Contains(body, test.want) {
			t.Errorf("%s: %s", test.body, body)
		}
		if body := get(page, "/console/audit", "Cookie", cookie.Name+"="+cookie.Value).Body.String(); strings.Contains(body, test.want) {
			t.Errorf("%s: it is shown twice", test.body)
		}
	}
}

func TestErrorText(t *testing.T) {
	for text, want := range map[string]string{"": "", "no such lane": "No such lane", "über 10": "Über 10"} {
		if got := errorText(errors.New(text)); got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}
