package console

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// password signs in a viewer as the hash of a user does for vera.
const password = "a viewer's password"

// withViewer adds an operator named vera, who is a viewer.
func withViewer(t *testing.T) harness.Edit {
	t.Helper()
	hash := harness.Command(t, password+"\n", "hash-password")
	if hash.Status != 0 {
		t.Fatal(hash.Stderr)
	}
	return harness.Replace("\nadmin:\n", "\nadmin:\n  operators: [{name: vera, password_hash: \""+strings.TrimSpace(hash.Stdout)+"\", role: viewer}]\n")
}

// viewer signs vera in, and returns the cookie of the session.
func viewer(t *testing.T, r *harness.Relay) string {
	t.Helper()
	reply, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).PostForm(
		"http://"+r.Address["admin"]+"/console/sign-in", url.Values{"name": {"vera"}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	for _, c := range reply.Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	t.Fatalf("vera is not signed in: %s", reply.Status)
	return ""
}

// request asks for a page of the console, or with a form for an action, in a session.
func request(t *testing.T, r *harness.Relay, session, path string, form url.Values) (status int, body string) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	q, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.Address["admin"]+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Cookie", session)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(text)
}

// TestViewer opens as a viewer each page that an administrator has. None has a button that changes
// something, or a link to what is for operators; and every action that the pages offer an
// administrator is refused, as is the content of messages.
func TestViewer(t *testing.T) {
	t.Parallel()
	browser(t, "operate.js")
	r := scene(t, withViewer(t))
	run(t, r, "queue", "pause", "contoso")
	admin, vera := r.Session(t), viewer(t, r)
	posts := regexp.MustCompile(`<form[^>]* method="post" action="([^"]+)"|<form[^>]* action="([^"]+)" method="post"`)
	var actions []string
	var steps [][]string
	for _, path := range append(pagesOfMessages(t, r), pagesOfConsole...) {
		_, body := request(t, r, admin, path, nil)
		for _, m := range posts.FindAllStringSubmatch(body, -1) {
			if action := m[1] + m[2]; action != "/console/sign-out" && !slices.Contains(actions, action) {
				actions = append(actions, action)
			}
		}
		if strings.HasSuffix(path, "/content") || strings.HasSuffix(path, "/source") || strings.Contains(path, "/confirm?") {
			if status, body := request(t, r, vera, path, nil); status != http.StatusForbidden || !strings.Contains(body, "for operators") {
				t.Errorf("%s: %d", path, status)
			}
			continue
		}
		steps = append(steps, []string{"open", path}, []string{"absent", `main form[method="post"], main form:not([method="get"]) button, main input[type="checkbox"][name="id"], main a[href$="/source"], main a[href*="probe"]`})
	}
	operateAs(t, r, vera, steps...)
	if len(actions) < 6 {
		t.Errorf("an administrator has the actions %q alone", actions)
	}
	before := len(r.Queue(t))
	for _, action := range actions {
		form := url.Values{"action": {"delete"}, "scope": {"all"}, "confirmed": {"1"}, "lane": {"contoso"}, "connection": {"contoso"}, "to": {"x@example.test"}, "node": {"x"}}
		if status, body := request(t, r, vera, action, form); status != http.StatusForbidden || !strings.Contains(body, "viewer") {
			t.Errorf("POST %s: %d %s", action, status, body)
		}
	}
	if got := len(r.Queue(t)); got != before {
		t.Errorf("there are %d messages, and %d before", got, before)
	}
}
