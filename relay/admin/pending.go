package admin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
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
type ConnectKey [32]byte

// NewConnectKey returns a random key.
func NewConnectKey() (k ConnectKey) {
	_, _ = rand.Read(k[:]) // never fails since Go 1.24
	return k
}

func (k ConnectKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// remember gives the browser the sign-in to keep.
func (p *ConnectPage) remember(w http.ResponseWriter, s pendingSignIn) error {
	aead, err := p.Key.aead()
	if err != nil {
		return err
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	p.setCookie(w, base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, plain, nil)), int(signInTime.Seconds()))
	return nil
}

// take returns the sign-in that this browser began, and has the browser forget it.
func (p *ConnectPage) take(w http.ResponseWriter, r *http.Request) (s pendingSignIn, ok bool) {
	cookie, err := r.Cookie(browserName)
	if err != nil {
		return s, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return s, false
	}
	aead, err := p.Key.aead()
	if err != nil {
		return s, false
	}
	plain, err := aead.Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(plain, &s) != nil || time.Now().After(s.Until) ||
		subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(s.State)) != 1 {
		return s, false
	}
	p.setCookie(w, "", -1)
	return s, true
}

func (p *ConnectPage) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: browserName, Value: value, Path: "/connect", MaxAge: maxAge,
		HttpOnly: true, Secure: strings.HasPrefix(p.BaseURL, "https:"), SameSite: http.SameSiteLaxMode})
}
