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
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// Live is what the pages show of the running relay.
type Live interface {
	operations.Overview
	// Mailboxes returns the lanes with what is in use of their limits, those first that need
	// attention.
	Mailboxes(ctx context.Context) ([]operations.Mailbox, error)
	// Stats counts the queue.
	Stats(ctx context.Context) (queue.Stats, error)
	// Describe returns what the stored content of a message has.
	Describe(ctx context.Context, id string) (operations.Description, error)
}

// Config is what a console shows.
type Config struct {
	Ops           operations.Operations
	Live          Live
	Configuration Configuration
	Edge          operations.Edge
	SignIns       operations.SignIns
	Version       string // of the program
	// Hostname returns that of the relay.
	Hostname func() string
	// BaseURL returns the URL at which browsers reach the admin address.
	BaseURL func() string
	Log     func() *slog.Logger
	// ShowContent reports whether operators may read the content of messages.
	ShowContent func() bool
}

const (
	// root is the path of the first page.
	root = operators.ConsolePath
	// maxRequests is how many pages are made at a time. More wait for none: they are refused, and
	// htmx asks again.
	maxRequests = 16
	// pageTime is how long the queue may take to answer what a page needs.
	pageTime = 10 * time.Second
	// maxResults bounds the results of actions that no page has shown yet.
	maxResults = 1000
)

// Console is the console of one relay. It outlives a reload of the configuration.
type Console struct {
	cfg       Config
	templates map[string]*template.Template // by the page's file
	slots     chan struct{}
	exports   chan struct{}
	now       func() time.Time
	// searchTime is that of a page of messages.
	searchTime time.Duration

	mu      sync.Mutex
	results *bounded.Map[string, result] // of actions, by the cookie of the browser that shall show it
}

// New returns a console.
func New(cfg Config) *Console {
	c := &Console{
		cfg: cfg, slots: make(chan struct{}, maxRequests), exports: make(chan struct{}, maxExports), now: time.Now, searchTime: searchTime,
		results: bounded.New[string](maxResults, func(r result) bounded.Rank { return bounded.Rank{Used: r.at} }),
	}
	c.templates = c.parseTemplates()
	return c
}

// Register adds the pages to the mux behind a Gate of package operators.
func (c *Console) Register(mux *http.ServeMux) {
	mux.Handle("GET "+root, c.serve(c.unknown))
	c.registerMessages(mux)
	for _, p := range pages() {
		pattern := root + p.path
		if p.path == "" {
			pattern += "{$}"
		}
		c.handle(mux, "GET "+pattern, operators.Viewer, func(w http.ResponseWriter, r *http.Request) { c.show(w, r, p) })
		for _, a := range p.actions {
			c.handle(mux, "POST "+root+a.path, a.role, func(w http.ResponseWriter, r *http.Request) { c.act(w, r, p, a) })
		}
	}
}

func (c *Console) handle(mux *http.ServeMux, pattern string, role operators.Role, h http.HandlerFunc) {
	mux.Handle(pattern, operators.Require(role, c.serve(h)))
}

// serve bounds how many requests are served at a time, and how long they take. The server of package
// admin bounds their bodies. The Gate in front of the console has signed the person in, refused what
// other sites sent, and set the headers of every page.
func (c *Console) serve(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "HX-Request")
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "The console has too many requests at a time. Try again in a few seconds.", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		h(w, r.WithContext(ctx))
	})
}
