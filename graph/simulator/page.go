package simulator

import (
	"bytes"
	"embed"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"graphrelay/internal/look"
)

//go:embed pages
var pageFiles embed.FS

// pagePolicy is the policy of the pages: that of all, and frames for the HTML of a message.
const pagePolicy = look.Policy + "; frame-src 'self'"

// maxPages is how many pages are made at a time; a search may read much.
const maxPages = 4

// pages serves what people see of the simulator. Texts of messages are shown as they are, by
// html/template; the HTML of a message is a document of its own, see framePolicy.
type pages struct {
	*Simulator
	templates map[string]*template.Template
	slots     chan struct{}
}

// frame is what the template of a page gets.
type frame struct {
	Title              string
	AtMail, AtRequests bool
	View               any
}

// pageRoutes adds the pages to the simulator's routes.
func (s *Simulator) pageRoutes(mux *http.ServeMux) {
	p := &pages{Simulator: s, templates: map[string]*template.Template{}, slots: make(chan struct{}, maxPages)}
	css, err := pageFiles.ReadFile("pages/mail.css")
	if err != nil {
		panic(err) // it is embedded
	}
	cssPath := look.Serve(mux, "/_simulator/mail.css", "text/css; charset=utf-8", css)
	funcs := look.Funcs()
	funcs["css"] = func() string { return cssPath }
	funcs["clock"], funcs["exact"], funcs["path"] = clock, exact, shortPath
	funcs["iso"] = func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	for _, name := range []string{"list", "message", "requests"} {
		p.templates[name] = template.Must(template.New(name).Funcs(funcs).ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html"))
	}
	look.Register(mux)
	handle := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, guardPage(p.atMost(h))) }
	handle("GET /{$}", p.list)
	handle("GET /message", p.message)
	handle("GET /body", p.body)
	handle("GET /source", p.source)
	handle("GET /requests", p.requests)
	handle("POST /delete", p.delete)
}

// atMost bounds how many pages are made at a time. Others wait.
func (p *pages) atMost(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
			h(w, r)
		case <-r.Context().Done():
		}
	}
}

// guardPage sets the headers of a page, and refuses forms of other sites, and pages that other
// sites brought to this machine under their own name (DNS rebinding).
func guardPage(h http.Handler) http.Handler {
	guarded := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", pagePolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-DNS-Prefetch-Control", "off")
		header.Set("Cache-Control", "no-store")
		header.Set("Vary", "HX-Request")
		if onLoopback(r) && !isLocalName(r.Host) {
			http.Error(w, "This page is only for this machine: open it as http://localhost or http://127.0.0.1, with the port.", http.StatusMisdirectedRequest)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// onLoopback reports whether the request came to a loopback address, which only this machine
// reaches.
func onLoopback(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return local != nil && local.IP.IsLoopback()
}

// isLocalName reports whether a Host header is an IP address or a name of this machine.
func isLocalName(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return net.ParseIP(name) != nil || strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
}

// show answers with a page or, if htmx asks, with its live part.
func (p *pages) show(w http.ResponseWriter, r *http.Request, name string, f frame) {
	t, part, data := p.templates[name], "layout", any(f)
	if r.Header.Get("HX-Request") != "" && t.Lookup("live") != nil {
		part, data = "live", f.View
	}
	var page bytes.Buffer
	if err := t.ExecuteTemplate(&page, part, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes())
}

// clock returns a time of today without its date.
func clock(t time.Time) string {
	if now := time.Now(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

func exact(t time.Time) string { return t.Format("Monday, 2 January 2006, 15:04:05 MST") }

// shortPath returns the path of a call without the long id of its message.
func shortPath(c Call) string {
	if c.MessageID == "" {
		return c.Path
	}
	return strings.ReplaceAll(c.Path, c.MessageID, "{id}")
}

// requestsView is the page with the last calls.
type requestsView struct {
	Mailbox string
	URL     string
	Calls   []Call
}

// pageCalls is how many calls a page shows.
const pageCalls = 100

func (p *pages) requests(w http.ResponseWriter, r *http.Request) {
	mailbox := strings.ToLower(r.URL.Query().Get("mailbox"))
	v := requestsView{Mailbox: mailbox, URL: r.URL.RequestURI(), Calls: p.lastCalls(func(c *Call) bool { return mailbox == "" || c.Mailbox == mailbox })}
	p.show(w, r, "requests", frame{Title: "Requests", AtRequests: true, View: v})
}

// lastCalls returns the last calls that are wanted, newest first.
func (s *Simulator) lastCalls(wanted func(*Call) bool) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.last(pageCalls, wanted)
}

// delete removes one message or all of a list, and shows the list. On an address that other
// machines reach nobody may.
func (p *pages) delete(w http.ResponseWriter, r *http.Request) {
	if !onLoopback(r) {
		http.Error(w, "Messages can be deleted only where the simulator listens on a loopback address.", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form cannot be read.", http.StatusBadRequest)
		return
	}
	in, folder := strings.ToLower(r.PostForm.Get("in")), r.PostForm.Get("folder")
	p.removeShown(in, folder, r.PostForm.Get("id"))
	http.Redirect(w, r, listPath(in, folder), http.StatusSeeOther)
}

// removeShown deletes a message or, if id is "", all messages of a list.
func (p *pages) removeShown(in, folder, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := func(i *item) bool { return id == "" || i.ID == id }
	if in == "" || folder == Inbox {
		p.removeArrivals(in, func(a *arrival) bool { return wanted(a.item) })
	}
	for address, box := range p.mailboxes {
		if in != "" && in != address {
			continue
		}
		for _, i := range box.byImmutable {
			if wanted(i) && (i.Folder == folder || in == "" && i.Folder != Drafts) {
				p.remove(i)
			}
		}
	}
}
