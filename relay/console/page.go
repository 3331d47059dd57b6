package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// page is a page of the console. Each has a file of its own here, and a template in the folder
// templates that defines "main". A template that also defines "live" has a part that the browser
// refreshes: "main" shows it in an element with hx-get="{{.URL}}", hx-trigger="every 5s" and
// hx-swap="innerMorph", which keeps focus, selection and what is folded out. An element of a list
// there needs an id that stays its own.
type page struct {
	path    string // below root; a pattern of net/http, such as "messages/{id}"
	name    string // in the navigation; empty: it is not there
	within  string // the path of the page that the navigation marks as current; empty: its own
	title   string // of the page; empty: name. A view with a method PageTitle has one of its own
	file    string // of the template
	plots   bool   // it has plots
	actions []action
	// view returns what the template gets as .View. Errors are shown to the operator.
	view func(c *Console, r *http.Request) (any, error)
}

// pages returns all pages, in the order of the navigation.
func pages() []page {
	return []page{overviewPage(), messagesPage(), confirmPage(), messagePage(), contentPage(), sourcePage(), mailboxesPage(), connectionsPage(), probePage(), listenersPage(), allowPage(), learnPage(), nodesPage(), configurationPage(), auditPage()}
}

// titled is a view with a title of its own, which may come from outside.
type titled interface{ PageTitle() string }

// navItem is a link of the navigation.
type navItem struct {
	Name, URL string
	Current   bool
}

// frame is what a template gets.
type frame struct {
	Title    string
	Nav      []navItem
	URL      string // of this page, with its query
	Hostname string
	Version  string
	Plots    bool
	Person   operators.Person
	Result   *result // of the action that led here; nil: none
	View     any
}

// Acts reports whether the person may act on messages, mailboxes and nodes.
func (f frame) Acts() bool { return f.Person.Role >= operators.Operator }

// Administers reports whether the person may change what concerns the whole relay.
func (f frame) Administers() bool { return f.Person.Role >= operators.Admin }

// fault is an error with the status of its page.
type fault struct {
	status int
	text   string
}

// Error implements error.
func (f fault) Error() string { return f.text }

// show answers with a page or, if htmx asks, with its live part.
func (c *Console) show(w http.ResponseWriter, r *http.Request, p page) {
	view, err := p.view(c, r)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	f := c.frame(r, p)
	f.View = view
	if v, ok := view.(titled); ok {
		f.Title = v.PageTitle()
	}
	if r.Header.Get("HX-Request") != "" && c.templates[p.file].Lookup("live") != nil {
		c.write(w, http.StatusOK, p.file, "live", f)
		return
	}
	f.Result = c.takeResult(w, r)
	c.write(w, http.StatusOK, p.file, "layout", f)
}

// frame returns the frame of a page, without its view.
func (c *Console) frame(r *http.Request, p page) frame {
	f := frame{Title: p.title, URL: r.URL.RequestURI(), Hostname: c.cfg.Hostname(), Version: c.cfg.Version, Plots: p.plots, Person: operators.Of(r.Context())}
	if f.Title == "" {
		f.Title = p.name
	}
	current := p.path
	if p.within != "" {
		current = p.within
	}
	for _, other := range pages() {
		if other.name != "" {
			f.Nav = append(f.Nav, navItem{other.name, root + other.path, other.path == current})
		}
	}
	return f
}

// errorPage is the frame of what went wrong. Its path is that of no page.
var errorPage = page{path: "-", title: "Not available", file: "error.html"}

func (c *Console) unknown(w http.ResponseWriter, r *http.Request) {
	c.showError(w, r, fault{http.StatusNotFound, "There is no such page in the console."})
}

// showError answers with a page that says what went wrong.
func (c *Console) showError(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, err.Error()
	var f fault
	switch {
	case errors.As(err, &f):
		status = f.status
	case errors.Is(err, queue.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusServiceUnavailable, "The queue did not answer in time. It may be busy, or its disk slow; try again in a moment."
	}
	if status >= http.StatusInternalServerError {
		c.cfg.Log().Warn("the console cannot show a page", "path", r.URL.Path, "error", err)
	}
	view := c.frame(r, errorPage)
	view.View = text
	c.write(w, status, errorPage.file, "layout", view)
}

// write executes a template and answers with what it made, or with an error alone: never with a
// part of a page.
func (c *Console) write(w http.ResponseWriter, status int, file, name string, f frame) {
	var b bytes.Buffer
	if err := c.templates[file].ExecuteTemplate(&b, name, f); err != nil {
		c.cfg.Log().Error("the console cannot make a page", "template", file, "error", err)
		http.Error(w, "The page cannot be made; the relay's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// local reports whether a URL is of a page of the console on this server.
func local(url string) bool {
	path, _, _ := strings.Cut(url, "?")
	return strings.HasPrefix(url, root) && !strings.ContainsAny(url, "\\\r\n") && !strings.Contains(url, "//") &&
		!slices.Contains(strings.Split(path, "/"), "..")
}
