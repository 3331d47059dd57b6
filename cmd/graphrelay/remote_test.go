package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/api"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue/sqlite"
)

// elsewhere serves the API of a relay at an address, to whoever has the token.
func elsewhere(t *testing.T, token string) (url, id string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	id = putMessage(t, store, "waiting")
	h, err := api.New(api.Config{Operations: operations.Local{Store: store, Connections: func() []string { return []string{"contoso"} }}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := operators.Person{Name: "monitoring", Way: operators.ByToken}
		if r.Header.Get("Authorization") == "Bearer "+token {
			p.Role = operators.Operator
		}
		h.ServeHTTP(w, r.WithContext(operators.With(r.Context(), p)))
	}))
	t.Cleanup(server.Close)
	return server.URL, id
}

// Commands work on a relay elsewhere, without a configuration.
func TestURL(t *testing.T) {
	url, id := elsewhere(t, "secret-token")
	file := filepath.Join(t.TempDir(), "token.secret")
	if err := os.WriteFile(file, []byte("secret-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(args ...string) outcome {
		return execute(t, "", append(args, "--url", url, "--token-file", file)...)
	}
	at("queue", "list").want(t, exitOK, id, "queued")
	at("queue", "hold", id).want(t, exitOK, "hold "+id)
	at("queue", "log").want(t, exitOK, "monitoring (API token)")
	at("queue", "export", id).want(t, exitOK, "Subject: waiting\r\n")
	at("nodes").want(t, exitOK, "NODE")
	at("nodes", "drain", "a").want(t, exitFault, "this relay's alone")
	at("queue", "restored").wantUsage(t, "needs the queue itself")
	t.Setenv(tokenVariable, "secret-token")
	execute(t, "", "queue", "list", "--url", url).want(t, exitOK, id)
	t.Setenv(tokenVariable, "another")
	got := execute(t, "", "queue", "list", "--url", url)
	got.want(t, exitFault, "this needs the role viewer")
	if strings.Contains(got.stderr, "another") {
		t.Errorf("the token is shown: %q", got.stderr)
	}
}

func TestURLFaults(t *testing.T) {
	for url, want := range map[string]string{
		"relay.contoso.com": "write the admin address", "https://": "write the admin address", "ftp://relay": "write the admin address",
		"https://a:b@relay": "write the admin address", "https://relay/x": "write the admin address", "http://relay.contoso.com:9025": "write https://relay.contoso.com:9025",
		"http://127.0.0.1.evil.test": "without TLS",
	} {
		t.Setenv(tokenVariable, "secret-token")
		execute(t, "", "queue", "list", "--url", url).wantUsage(t, want)
	}
	list := []string{"queue", "list", "--url", "https://relay.contoso.com"}
	t.Setenv(tokenVariable, "")
	execute(t, "", list...).want(t, exitFault, "--token-file, or set $GRAPHRELAY_TOKEN")
	execute(t, "", "queue", "list", "--token-file", "x").wantUsage(t, "--url has the value")
	execute(t, "", append(list, "--token-file", filepath.Join(t.TempDir(), "none"))...).want(t, exitFault, "read the token", "no such file")
	execute(t, "", "queue", "list", "--url", "").wantUsage(t, "give a value, or leave the flag out")
	t.Setenv(tokenVariable, "two\nlines")
	got := execute(t, "", list...)
	got.want(t, exitFault, "characters that no token has")
	if strings.Contains(got.stderr, "lines") {
		t.Errorf("the token is shown: %q", got.stderr)
	}
}

// A token goes to the server that was named, and to no other.
func TestURLRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other server is asked with %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	t.Setenv(tokenVariable, "secret-token")
	execute(t, "", "queue", "list", "--url", server.URL).want(t, exitFault, "does not have the API of this version of graphrelay: 307")
}
