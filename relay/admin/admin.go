// Package admin serves operators and their tools over HTTP: health, readiness and metrics,
// which change nothing, and the page on which owners connect their mailboxes.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server is the HTTP server at the admin address.
type Server struct {
	http *http.Server
}

// Config is what a server shows.
type Config struct {
	Registry *prometheus.Registry
	// Ready returns why the relay cannot accept mail, or nil if it can. An outage of Graph is
	// no reason, since mail is queued meanwhile.
	Ready func() error
	// Notices returns lines about what the operator has to do soon. They do not affect
	// readiness.
	Notices func() []string
	Connect *ConnectPage // nil if there is no connection to which owners sign in
	Log     *slog.Logger
}

// New returns a server.
func New(cfg Config) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := cfg.Ready(); err != nil {
			cfg.Log.Error("not ready", "error", err)
			answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
			return
		}
		answer(w, http.StatusOK, strings.Join(append([]string{"ready"}, cfg.Notices()...), "\n"))
	})
	if cfg.Connect != nil {
		cfg.Connect.register(mux)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{Registry: cfg.Registry}))
	return &Server{http: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}}
}

// answer writes a plain text response.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// Serve serves requests on l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops the server. Requests in progress may finish until ctx is done.
func (s *Server) Shutdown(ctx context.Context) {
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
}
