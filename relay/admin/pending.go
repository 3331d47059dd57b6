package admin

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"graphrelay/internal/sealed"
)

// pendingSignIn is a sign-in whose browser has been sent to Entra. The browser keeps it, in a
// cookie that only this relay can read. So sign-ins that nobody completes take no memory,
// however many there are, and a link that is sent to another person does not complete one.
type pendingSignIn struct {
	Connection, Mailbox string
	Shared              bool
	User                bool   // an SMTP user was asked for
	State               string // that Entra returns
	Verifier            string // PKCE (RFC 7636)
	Until               time.Time
}

const (
	signInTime  = 10 * time.Minute // the lifetime of an authorization code
	browserName = "graphrelay-connect"
)

// ConnectKey encrypts the sign-ins that browsers keep.
type ConnectKey = sealed.Key

// remember gives the browser the sign-in to keep.
func (p *ConnectPage) remember(w http.ResponseWriter, s pendingSignIn) error {
	text, err := p.Key.Seal(s)
	if err == nil {
		p.setCookie(w, text, int(signInTime.Seconds()))
	}
	return err
}

// take returns the sign-in that this browser began, and has the browser forget it.
func (p *ConnectPage) take(w http.ResponseWriter, r *http.Request) (s pendingSignIn, ok bool) {
	cookie, err := r.Cookie(browserName)
	if err != nil {
		return s, false
	}
	if !p.Key.Open(cookie.Value, &s) || time.Now().After(s.Until) || subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(s.State)) != 1 {
		return s, false
	}
	p.setCookie(w, "", -1)
	return s, true
}

func (p *ConnectPage) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: browserName, Value: value, Path: "/connect", MaxAge: maxAge,
		HttpOnly: true, Secure: strings.HasPrefix(p.BaseURL, "https:"), SameSite: http.SameSiteLaxMode})
}
