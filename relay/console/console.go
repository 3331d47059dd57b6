// Package console serves the operator's pages below /console/ of the admin address: what flows,
// what waits and why, and the actions on it.
//
// The pages are made on the server, and can be read and used without scripts; htmx refreshes their
// live parts, and uPlot draws plots. Texts of messages, clients and Graph are shown as inert text.
// Nothing is loaded from another server. The package decides nothing itself.
package console

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/internal/look"
	"graphrelay/relay/attention"
	"graphrelay/relay/flow"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

// Live is what the pages show of the running relay.
type Live interface {
	// Attention returns what needs an operator now, the most severe first.
	Attention() []attention.Condition
	// Flow returns how mail flowed in a time until now, in points of the length step.
	Flow(length, step time.Duration) flow.Series
	// Stats counts the queue.
	Stats(ctx context.Context) (queue.Stats, error)
}

// Config is what a console shows.
type Config struct {
	Ops      operations.Operations
	Live     Live
	Edge     operations.Edge
	Hostname string // of the relay
	Version  string // of the program
	// BaseURL returns the URL at which browsers reach the admin address.
	BaseURL func() string
	Log     func() *slog.Logger
}

const (
	// root is the path of the first page.
	root = "/console/"
	// maxRequests is how many pages are made at a time. More wait for none: they are refused, and
	// htmx asks again.
	maxRequests = 16
	// pageTime is how long the queue may take to answer what a page needs.
	pageTime = 10 * time.Second
	// maxForm bounds the body of a form, in bytes.
	maxForm = 256 << 10
	// maxResults bounds the results of actions that no page has shown yet.
	maxResults = 1000
)

// Console is the console of one relay. It outlives a reload of the configuration.
type Console struct {
	cfg       Config
	templates map[string]*template.Template // by the page's file
	slots     chan struct{}
	now       func() time.Time

	mu      sync.Mutex
	results *bounded.Map[string, result] // of actions, by the cookie of the browser that shall show it
}

// New returns a console.
func New(cfg Config) *Console {
	c := &Console{
		cfg: cfg, slots: make(chan struct{}, maxRequests), now: time.Now,
		results: bounded.New[string](maxResults, func(r result) bounded.Rank { return bounded.Rank{Used: r.at} }),
	}
	c.templates = c.parseTemplates()
	return c
}

// Register adds the console to the admin address, whose first page it becomes.
func (c *Console) Register(mux *http.ServeMux) {
	mux.Handle("GET /{$}", http.RedirectHandler(root, http.StatusFound))
	mux.Handle("GET "+root, c.guard(c.unknown))
	for _, p := range pages() {
		pattern := root + p.path
		if p.path == "" {
			pattern += "{$}"
		}
		mux.Handle("GET "+pattern, c.guard(func(w http.ResponseWriter, r *http.Request) { c.show(w, r, p) }))
		for _, a := range p.actions {
			mux.Handle("POST "+root+a.path, c.guard(func(w http.ResponseWriter, r *http.Request) { c.act(w, r, p, a) }))
		}
	}
}

// guard sets the headers of all pages, refuses forms that another site has sent, and bounds how
// many requests are served at a time and how long they take.
func (c *Console) guard(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", look.Policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		header.Set("Vary", "HX-Request")
		if err := c.origins().Check(r); err != nil {
			http.Error(w, "This form was sent by another site, so nothing was done.", http.StatusForbidden)
			return
		}
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		default:
			header.Set("Retry-After", "5")
			http.Error(w, "The console has too many requests at a time. Try again in a few seconds.", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		h(w, r.WithContext(ctx))
	})
}

// origins returns what refuses requests of other sites. A proxy may change the Host header, so the
// address at which browsers reach the relay is trusted too.
func (c *Console) origins() *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	if u, err := url.Parse(c.cfg.BaseURL()); err == nil {
		_ = p.AddTrustedOrigin(u.Scheme + "://" + u.Host)
	}
	return p
}
