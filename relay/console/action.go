package console

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"graphrelay/relay/operators"
)

// action is what a form of a page asks for, with POST. The field "back" of the form may name the
// page that comes next; without it, that is the page itself.
type action struct {
	path string         // below root
	role operators.Role // that may do it
	// do returns what was done, as a sentence. An error is shown instead.
	do func(c *Console, r *http.Request) (done string, err error)
}

// result is what became of an action. The next page shows it, once.
type result struct {
	Text   string
	Failed bool
	at     time.Time
}

// by returns who makes a request, for audits.
func by(r *http.Request) string { return operators.Of(r.Context()).String() }

// act carries out an action and sends the browser to the page that shows its result, so that a
// reload does not repeat it.
func (c *Console) act(w http.ResponseWriter, r *http.Request, p page, a action) {
	if err := r.ParseForm(); err != nil {
		c.showError(w, r, fault{http.StatusBadRequest, "The form cannot be read: " + err.Error()})
		return
	}
	done, err := a.do(c, r)
	res := result{Text: done, at: c.now()}
	if err != nil {
		res.Text, res.Failed = errorText(err), true
	}
	back := r.PostForm.Get("back")
	if !local(back) {
		back = root + strings.ReplaceAll(p.path, "{id}", url.PathEscape(r.PathValue("id")))
	}
	c.putResult(w, res)
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// errorText returns an error as a sentence.
func errorText(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "It took too long and may be half done. Look at what has changed before you try again."
	}
	text := err.Error()
	_, size := utf8.DecodeRuneInString(text) // 0 if the error has no text
	return strings.ToUpper(text[:size]) + text[size:]
}

const (
	resultCookie = "graphrelay-console-result"
	resultTime   = time.Minute
)

// putResult keeps a result for the next page of this browser.
func (c *Console) putResult(w http.ResponseWriter, res result) {
	id := rand.Text()
	c.mu.Lock()
	c.results.Put(id, res)
	c.mu.Unlock()
	c.setResultCookie(w, id, int(resultTime.Seconds()))
}

// takeResult returns the result that this browser has not shown yet, or nil.
func (c *Console) takeResult(w http.ResponseWriter, r *http.Request) *result {
	cookie, err := r.Cookie(resultCookie)
	if err != nil {
		return nil
	}
	c.setResultCookie(w, "", -1)
	c.mu.Lock()
	defer c.mu.Unlock()
	res, ok := c.results.Get(cookie.Value)
	if !ok {
		return nil
	}
	c.results.Delete(cookie.Value)
	if c.now().Sub(res.at) > resultTime {
		return nil
	}
	return &res
}

func (c *Console) setResultCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: resultCookie, Value: value, Path: root, MaxAge: maxAge,
		HttpOnly: true, Secure: strings.HasPrefix(c.cfg.BaseURL(), "https:"), SameSite: http.SameSiteStrictMode})
}
