package setup

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph/entra"
	"graphrelay/internal/text"
)

// signInBrowser signs in with a browser (authorization code and PKCE, RFC 8252). Entra sends
// the browser to a loopback address of this machine. If the browser is on another machine,
// that page cannot be opened: the operator pastes its address instead.
func (r *run) signInBrowser(ctx context.Context, who entra.Interactive) (*oauth2.Token, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no port of this machine is free for the browser's answer: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, signInTime)
	defer stop()
	redirect := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	answers := make(chan url.Values, 1)
	server := &http.Server{Handler: callback(state, answers), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() { _ = server.Serve(listener) }()
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // lets the browser have its page
	}()
	r.say("\nAn administrator has to sign in. Open this address in a browser:\n\n    %s\n", who.AuthURL(redirect, state, verifier, ""))
	if r.in != nil {
		r.say("If the browser is on another machine, it ends at a page of %s that cannot be opened: copy that page's address and paste it here.", redirect)
	}
	query, err := r.browserAnswer(ctx, state, answers)
	if err != nil {
		return nil, err
	}
	if code := query.Get("error"); code != "" {
		return nil, &oauth2.RetrieveError{ErrorCode: text.OneLine(code), ErrorDescription: text.OneLine(query.Get("error_description"))}
	}
	return who.Exchange(ctx, redirect, query.Get("code"), verifier)
}

// browserAnswer returns the query with which the browser came back, or that was pasted.
func (r *run) browserAnswer(ctx context.Context, state string, answers <-chan url.Values) (url.Values, error) {
	var typed <-chan string
	if r.in != nil {
		typed = r.typed()
	}
	for {
		select {
		case query := <-answers:
			return query, nil
		case line, ok := <-typed:
			if !ok {
				typed = nil
				continue
			}
			if pasted, err := url.Parse(line); err == nil && isAnswer(pasted.Query(), state) {
				return pasted.Query(), nil
			}
			if line != "" {
				r.say("That is not the address of the page at which the browser ended; it begins with http://localhost and has code= and state= in it.")
			}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, errors.New("nobody signed in in time; run the command again")
			}
			return nil, ctx.Err()
		}
	}
}

// isAnswer reports whether a query answers the sign-in with this state.
func isAnswer(query url.Values, state string) bool {
	return subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(state)) == 1 && (query.Get("code") != "" || query.Get("error") != "")
}

var callbackPage = template.Must(template.New("callback").Parse(`<!doctype html><meta charset="utf-8"><title>graphrelay</title>
<p>{{if .}}The sign-in failed: {{.}}{{else}}You are signed in.{{end}} Close this page, and go on in the terminal.
`))

// callback serves the page to which Entra sends the browser. It hands on the first answer
// with the right state.
func callback(state string, answers chan<- url.Values) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		if req.Method != http.MethodGet || req.URL.Path != "/" || !isAnswer(query, state) {
			http.NotFound(w, req)
			return
		}
		select {
		case answers <- query:
		default: // there was one already
		}
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", "default-src 'none'")
		header.Set("Cache-Control", "no-store")
		header.Set("Referrer-Policy", "no-referrer") // the address has the code in it
		_ = callbackPage.Execute(w, text.Shorten(text.OneLine(query.Get("error_description")), 300))
	})
}
