package admin

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/bounded"
)

func TestReady(t *testing.T) {
	var down error
	var notices []string
	s := New(Config{
		Registry: prometheus.NewRegistry(), Ready: func() error { return down }, Notices: func() []string { return notices },
		Log: slog.New(slog.DiscardHandler),
	})
	get := func(path string) string {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		body, _ := io.ReadAll(w.Body)
		return fmt.Sprintf("%d %s", w.Code, body)
	}
	for _, c := range []struct {
		down       error
		notices    []string
		path, want string
	}{
		{nil, nil, "/readyz", "200 ready\n"},
		{nil, []string{"renew it"}, "/readyz", "200 ready\nrenew it\n"},
		{errors.New("disk full"), nil, "/readyz", "503 not ready: disk full\n"},
		{errors.New("disk full"), nil, "/healthz", "200 ok\n"},
		{nil, nil, "/connect", "404 404 page not found\n"},
	} {
		if down, notices = c.down, c.notices; get(c.path) != c.want {
			t.Errorf("%s: %q, want %q", c.path, get(c.path), c.want)
		}
	}
}

// The page serves no other name that leads to it.
func TestServes(t *testing.T) {
	p := &ConnectPage{BaseURL: "https://relay.contoso.test:8443"}
	for host, want := range map[string]bool{
		"relay.contoso.test:8443": true, "Relay.Contoso.test:8443": true, "localhost:9025": true, "localhost": true,
		"127.0.0.1:9025": true, "[::1]:9025": true, "[::1]": true,
		"relay.contoso.test": false, "evil.test:8443": false, "192.0.2.1:9025": false, "localhost.evil.test": false, "": false,
	} {
		if got := p.serves(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// Sign-ins in progress are never evicted for new ones, and expire.
func TestPendingSignIns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &ConnectPage{pending: bounded.New[string](maxPending, (*pendingSignIn).rank)}
		add := func(n int) bool {
			return p.remember(fmt.Sprint(n), &pendingSignIn{until: time.Now().Add(signInTime)})
		}
		for n := range maxPending {
			if !add(n) {
				t.Fatalf("sign-in %d was refused", n)
			}
		}
		if add(maxPending) {
			t.Error("there is no maximum")
		}
		time.Sleep(signInTime + time.Second)
		if !add(maxPending) {
			t.Error("expired sign-ins still count")
		}
	})
}
