package operators

import (
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"graphrelay/internal/look"
)

//go:embed page.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(look.Funcs()).ParseFS(pageFiles, "*.html"))

// signInView is the data of the page on which persons sign in.
type signInView struct {
	Error     string
	SignedOut bool
	Next      string // the path that comes next
	Passwords bool   // there are operators with passwords
	OIDC      string // the link that begins a sign-in with OpenID Connect; empty: there is none
	Provider  string // what people call it
}

// refusedView is the data of the page that says why nothing is served.
type refusedView struct {
	Title, Text string
}

func (g *Gate) form(w http.ResponseWriter, r *http.Request) {
	if g.person(r).Role != None {
		http.Redirect(w, r, localPath(r.FormValue("next")), http.StatusSeeOther)
		return
	}
	g.show(w, r, http.StatusOK, "")
}

// show shows the page on which persons sign in, with an error unless that is empty.
func (g *Gate) show(w http.ResponseWriter, r *http.Request, status int, fault string) {
	v := signInView{Error: fault, SignedOut: r.URL.Query().Get("signed-out") != "", Next: localPath(r.FormValue("next")), Passwords: len(g.operators) > 0}
	if g.oidc != nil { // a link: browsers hold redirects of a form against form-action
		v.OIDC, v.Provider = beginPath+"?"+url.Values{"next": {v.Next}}.Encode(), g.oidc.name()
	}
	writePage(w, status, "sign-in", v)
}

func writePage(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, name, data) // fails only if the client is gone
}

// problem is an error of the API (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// refuse answers with an error: as a page for the console, as JSON for the API.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if strings.HasPrefix(r.URL.Path, APIPath) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(problem{http.StatusText(status), status, text}) // likewise
		return
	}
	writePage(w, status, "refused", refusedView{http.StatusText(status), text})
}
