package operators

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"graphrelay/internal/fair"
	"graphrelay/relay/access"
	"graphrelay/relay/smtpd"
)

// slowly serves sign-ins, which may take seconds: a few at a time, and fewer for one client.
func (g *Gate) slowly(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		release, err := g.State.slots.Acquire(r.Context(), smtpd.HostPrefix(g.client(r)))
		if err != nil {
			g.busy(w, r)
			return
		}
		defer release()
		h(w, r)
	}
}

func (g *Gate) busy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "5")
	g.show(w, r, http.StatusServiceUnavailable, "Too many sign-ins at the moment. Try again in a few seconds.")
}

// signIn signs in an operator with a password. The answer does not tell whether there is one with
// the name.
func (g *Gate) signIn(w http.ResponseWriter, r *http.Request) {
	name, password := r.PostFormValue("name"), r.PostFormValue("password")
	o := g.operators[name] // without such, its hash is empty
	p := Person{Name: o.Name, Role: roleOf(o.Role), Way: ByConsole, From: g.client(r)}
	err := g.signIns.SignIn(r.Context(), p.From, name, password, o.PasswordHash.Reveal())
	switch {
	case err == nil:
		g.begin(w, r, p, operatorGrant(o))
		http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
	case errors.Is(err, access.ErrWrongPassword):
		g.State.audit.refused(r.Context(), g.Log, p)
		g.show(w, r, http.StatusForbidden, "The name or the password is wrong.")
	case errors.Is(err, access.ErrBlocked):
		g.State.audit.refused(r.Context(), g.Log, p)
		g.show(w, r, http.StatusTooManyRequests, "There were too many wrong passwords from your address. Try again later, or sign in with graphrelay console.")
	case errors.Is(err, fair.ErrBusy):
		g.busy(w, r)
	default:
		g.show(w, r, http.StatusServiceUnavailable, "The password could not be checked in time. Try again.")
	}
}

// begin begins a session. One that the browser had ends: nobody goes on with a session that
// existed before.
func (g *Gate) begin(w http.ResponseWriter, r *http.Request, p Person, grant string) {
	g.endSession(r)
	g.setCookie(w, "", g.State.sessions.begin(p, grant), 0)
	g.State.audit.event(r.Context(), g.Log, p, "sign in", "as "+p.Role.String())
}

// endSession ends the session of the browser, and returns whose it was.
func (g *Gate) endSession(r *http.Request) (Person, bool) {
	c, err := r.Cookie(g.cookieName(""))
	if err != nil {
		return Person{}, false
	}
	return g.State.sessions.end(c.Value)
}

func (g *Gate) signOut(w http.ResponseWriter, r *http.Request) {
	if p, ok := g.endSession(r); ok {
		p.From = g.client(r)
		g.State.audit.event(r.Context(), g.Log, p, "sign out", "")
	}
	g.setCookie(w, "", "", 0)
	http.Redirect(w, r, signInPath+"?signed-out=1", http.StatusSeeOther)
}

// followLink begins a session with the link that graphrelay console has printed. A browser that
// fetches the page ahead of the user does not use the link up.
func (g *Gate) followLink(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		refuse(w, r, http.StatusForbidden, "Open the link itself.")
		return
	}
	p, ok := g.State.sessions.useLink(r.FormValue("token"))
	if !ok {
		g.State.audit.refused(r.Context(), g.Log, Person{Way: ByLink, From: g.client(r)})
		g.show(w, r, http.StatusForbidden, fmt.Sprintf("This link was used before, or is older than %d minutes. Have graphrelay console print a new one.", LinkLife/time.Minute))
		return
	}
	p.From = g.client(r)
	g.begin(w, r, p, linkGrant)
	http.Redirect(w, r, ConsolePath, http.StatusSeeOther)
}
