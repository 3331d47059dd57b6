// Package admin serves operators and their tools over HTTP: health, readiness and metrics,
// which change nothing, and the page on which owners connect their mailboxes.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/look"
)

// Server is the HTTP server at the admin address.
type Server struct {
	http     *http.Server
	requests *requests
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
	Pages   func(*http.ServeMux)   // adds further pages, such as the console's; may be nil
	Connect *ConnectPage           // nil if there is no connection to which owners sign in
	BaseURL string                 // the address at which browsers and tools reach the server
	Beyond  bool                   // other machines can reach the server too, and call it by any IP address
	Named   func(host string) bool // whether a Host header is one of the server's other names; may be nil
	TLS     *tls.Config            // nil: the server has none
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
	look.Register(mux)
	if cfg.Pages != nil {
		cfg.Pages(mux)
	}
	mux.Handle("GET /metrics", atMost(make(chan struct{}, maxSameRequests), newScrapes(cfg.Registry).ServeHTTP))
	under := &requests{}
	return &Server{requests: under, http: &http.Server{
		Handler:           trackRequests(under.count(onlyHosts(cfg, mux))),
		ConnContext:       withConn,
		TLSConfig:         cfg.TLS,
		Protocols:         http1(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}}
}

// maxSameRequests is how many requests for metrics, and for the page /connect, are served at a
// time. The other connections are for the health checks.
const maxSameRequests = 16

// atMost refuses requests for which there is no slot.
func atMost(slots chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h(w, r)
		default:
			w.Header().Set("Retry-After", "5")
			answer(w, http.StatusServiceUnavailable, "too many requests at a time; try again later")
		}
	}
}

// onlyHosts refuses requests for other names that lead here: they could be an attacker's, who
// has a browser on this machine, or in this network, fetch pages from the relay (DNS rebinding).
func onlyHosts(cfg Config, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !serves(cfg, r.Host) {
			answer(w, http.StatusForbidden, "this server is at "+cfg.BaseURL+", localhost and loopback addresses; if it has another name, set admin.url, or add it to admin.hosts")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// serves reports whether the Host header names this server: the host of BaseURL, another name, localhost, a
// loopback address, or none, which no browser sends. An attacker has no page at an IP address of
// the server, so that where other machines reach it, each of those is as good.
func serves(cfg Config, host string) bool {
	if u, err := url.Parse(cfg.BaseURL); host == "" || err == nil && strings.EqualFold(u.Host, host) || cfg.Named != nil && cfg.Named(host) {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	addr, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && (addr.IsLoopback() || cfg.Beyond)
}

// answer writes a plain text response.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// http1 returns HTTP/1.1 alone: a connection has one request at a time, as its bounds take for
// granted.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// Serve serves requests on l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	serve := s.http.Serve
	if s.http.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	if err := serve(newLimitedListener(l)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops the server. Requests in progress may finish until ctx is done.
func (s *Server) Shutdown(ctx context.Context) {
	waiting, cancel := s.requests.onlyUnawaited(ctx)
	defer cancel()
	if err := s.http.Shutdown(waiting); err != nil && ctx.Err() != nil {
		_ = s.http.Close()
	}
}
