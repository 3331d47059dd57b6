package chaos

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A liar stands between relay and simulator, and turns some answers to nonsense: what a proxy,
// a portal for guests or a broken front end may say in Graph's place. The request has had its
// effect, or was never passed on.
//
// A lie never says that something was done which was not, nor that it was refused when it was
// done. No client could find out.
type liar struct {
	*httptest.Server

	mu          sync.Mutex
	random      *rand.Rand
	probability float64
}

func newLiar(t *testing.T, target string, seed uint64) *liar {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{random: rand.New(rand.NewPCG(seed, 2))}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // upload URLs lead back here
		},
		ModifyResponse: func(r *http.Response) error {
			if change := l.choose(afterwards); change != nil {
				change(r)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := l.choose(instead); answer != nil {
			made := &http.Response{Header: http.Header{}, Body: http.NoBody, Request: r}
			answer(made)
			for name, values := range made.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(made.StatusCode)
			_, _ = io.Copy(w, made.Body)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

// lies sets how often the liar lies.
func (l *liar) lies(probability float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probability = probability
}

type lie func(*http.Response)

// choose returns a lie from the list, or nil for the truth.
func (l *liar) choose(list []lie) lie {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.random.Float64() >= l.probability/2 { // of two lists
		return nil
	}
	return list[l.random.IntN(len(list))]
}

// say replaces the body of an answer.
func say(r *http.Response, contentType, body string) {
	_ = r.Body.Close()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
}

const portal = "<!doctype html><html><title>Sign in to the guest network</title><body>\x1b[31mWelcome</body></html>"

// instead are answers to requests that are not passed on.
var instead = []lie{
	func(r *http.Response) { r.StatusCode = 200; say(r, "text/html", portal) },
	func(r *http.Response) { r.StatusCode = 302; r.Header.Set("Location", "http://127.0.0.1:1/guest?a=b") },
	func(r *http.Response) { r.StatusCode = 407; say(r, "text/html", portal) },
	func(r *http.Response) { r.StatusCode = 502; say(r, "text/html", portal) },
	func(r *http.Response) { r.StatusCode = 503; say(r, "application/json", `{"error":{"code":7}}`) },
	func(r *http.Response) { r.StatusCode = 500; say(r, "application/json", strings.Repeat("[", 100_000)) },
	func(r *http.Response) { r.StatusCode = 599; say(r, "application/json", strings.Repeat(" ", 20<<20)) },
}

// afterwards change the answers to requests that had their effect.
var afterwards = []lie{
	func(r *http.Response) { done(r, func(body string) string { return body[:len(body)/2] }) },
	func(r *http.Response) { done(r, func(string) string { return portal }) },
	func(r *http.Response) { done(r, func(string) string { return "" }) },
	func(r *http.Response) { done(r, func(string) string { return "null" }) },
	func(r *http.Response) {
		done(r, func(string) string { return `{"id":"","value":"","nextExpectedRanges":7}` })
	},
	func(r *http.Response) {
		done(r, func(string) string { return `{"id":5,"value":{},"access_token":[]}` })
	},
	func(r *http.Response) {
		done(r, func(body string) string { return strings.Repeat(" ", 20<<20) + body })
	},
	func(r *http.Response) { done(r, func(body string) string { return body }); r.StatusCode = 299 },
	func(r *http.Response) { r.StatusCode = 504; say(r, "text/html", portal) },
	func(r *http.Response) { r.Body = io.NopCloser(io.LimitReader(r.Body, 5)) }, // the length says more
}

// done changes the body of a success.
func done(r *http.Response, change func(string) string) {
	if r.StatusCode >= 300 {
		return
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, io.LimitReader(r.Body, 32<<20)); err != nil {
		return
	}
	say(r, r.Header.Get("Content-Type"), change(body.String()))
}
