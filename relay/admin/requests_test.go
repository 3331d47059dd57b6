package admin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A request that ends its own server is answered, and another one that is under way is waited for.
func TestUnawaited(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	var s *Server
	s = New(Config{Registry: prometheus.NewRegistry(), BaseURL: "http://localhost", Log: slog.New(slog.DiscardHandler), Pages: func(mux *http.ServeMux) {
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
			close(began)
			<-release
			answer(w, http.StatusOK, "slow")
		})
		mux.HandleFunc("GET /reload", func(w http.ResponseWriter, r *http.Request) {
			Unawaited(r.Context())
			Unawaited(r.Context())
			go close(release)
			s.Shutdown(t.Context())
			answer(w, http.StatusOK, "reloaded")
		})
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	get := func(path string) string {
		resp, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	slow := make(chan string, 1)
	go func() { slow <- get("/slow") }()
	<-began
	if got := get("/reload"); got != "reloaded\n" {
		t.Errorf("the request that ended the server got %q", got)
	}
	if got := <-slow; got != "slow\n" {
		t.Errorf("the other got %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	Unawaited(context.Background()) // of no request
}
