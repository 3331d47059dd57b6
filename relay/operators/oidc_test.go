package operators

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"graphrelay/relay/config"
)

const (
	oidcClient = "3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22"
	oidcSecret = "oidc-secret-of-the-console"
)

// identityProvider is a small OpenID Connect provider, which insists on what the relay has to send.
type identityProvider struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey

	mu      sync.Mutex
	pending map[string]url.Values // authorization requests, by code
	claims  jwt.MapClaims         // of the account that signs in
	// forge changes the ID token that is returned for a request; nil: it is right.
	forge func(jwt.MapClaims) (token string)
	down  bool
}

func newIdentityProvider(t *testing.T) *identityProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &identityProvider{t: t, key: key, pending: map[string]url.Values{}, claims: jwt.MapClaims{"sub": "1", "preferred_username": "anna@contoso.test", "roles": []string{"Relay.Admin"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		answerJSON(w, map[string]any{"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token",
			"jwks_uri": p.server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("POST /token", p.token)
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// authorize signs the account in, and returns where the browser is sent.
func (p *identityProvider) authorize(location string) string {
	p.t.Helper()
	u, err := url.Parse(location)
	q := u.Query()
	if err != nil || !strings.HasPrefix(location, p.server.URL+"/authorize?") || q.Get("client_id") != oidcClient || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 || !strings.Contains(q.Get("scope"), "openid") {
		p.t.Fatalf("the browser is sent to %s", location)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := rand.Text()
	p.pending[code] = q
	return q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
}

// token exchanges a code once.
func (p *identityProvider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.pending[r.FormValue("code")]
	delete(p.pending, r.FormValue("code"))
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if q == nil || id != oidcClient || secret != oidcSecret || r.FormValue("redirect_uri") != q.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		answerJSON(w, map[string]string{"error": "invalid_grant", "error_description": "the secret " + secret + " or the code is wrong"})
		return
	}
	claims := jwt.MapClaims{"iss": p.server.URL, "aud": oidcClient, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": q.Get("nonce")}
	for name, value := range p.claims {
		claims[name] = value
	}
	forge := p.forge
	if forge == nil {
		forge = p.sign
	}
	answerJSON(w, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 3600, "id_token": forge(claims)})
}

func (p *identityProvider) sign(claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "1"
	signed, err := token.SignedString(p.key)
	if err != nil {
		p.t.Error(err)
	}
	return signed
}

func (p *identityProvider) config() config.Admin {
	return config.Admin{OIDC: config.OIDC{Issuer: p.server.URL, ClientID: oidcClient, ClientSecret: config.NewSecret(oidcSecret),
		Roles: config.OIDCRoles{Viewer: []string{"Relay.View"}, Operator: []string{"0c2a1f"}, Admin: []string{"Relay.Admin"}}}}
}

// back returns the path with which the browser comes back from the provider.
func (b *browser) back(p *identityProvider) string {
	b.t.Helper()
	began := b.get(beginPath + "?next=/console/messages")
	want(b.t, began, http.StatusSeeOther, "")
	return strings.TrimPrefix(p.authorize(began.Header.Get("Location")), testBase)
}

func TestOIDC(t *testing.T) {
	p := newIdentityProvider(t)
	s := newSite(t, p.config())
	for _, c := range []struct {
		claims jwt.MapClaims
		want   string // the role; empty: none
	}{
		{jwt.MapClaims{"roles": []string{"Relay.Admin"}}, "admin"},
		{jwt.MapClaims{"roles": []string{"Other", "Relay.View"}, "groups": []string{"0c2a1f"}}, "operator"},
		{jwt.MapClaims{"roles": "Relay.View"}, "viewer"},
		{jwt.MapClaims{"groups": []string{"relay.admin"}}, ""},
		{jwt.MapClaims{}, ""},
	} {
		p.claims = c.claims
		p.claims["sub"], p.claims["preferred_username"] = "1", "anna@contoso.test"
		b := s.browser()
		path := b.back(p)
		if cookie := b.cookies["graphrelay-oidc-9025"]; strings.Contains(path, cookie.Value) || !cookie.HttpOnly {
			t.Error("the cookie of the pending sign-in can be read")
		}
		if c.want == "" {
			want(t, b.get(path), http.StatusForbidden, "as anna@contoso.test, but that account has none of the app roles and groups")
			want(t, b.get("/console/"), http.StatusSeeOther, "")
			continue
		}
		want(t, b.get(path), http.StatusSeeOther, "/console/messages")
		want(t, b.get("/console/"), http.StatusOK, "anna@contoso.test (console, OpenID Connect, 127.0.0.1)")
		if !slices.Contains(s.audits.all(), "anna@contoso.test (console, OpenID Connect, 127.0.0.1)|sign in|as "+c.want+"|1") {
			t.Errorf("%v: %q", c.claims, s.audits.all())
		}
	}
	p.claims = jwt.MapClaims{"sub": "1", "_claim_names": map[string]string{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.microsoft.com/"}}}
	b := s.browser()
	want(t, b.get(b.back(p)), http.StatusForbidden, "too many groups")
	p.claims = jwt.MapClaims{"sub": "1", "preferred_username": "<script>\x1b[2J\u202e" + strings.Repeat("x", 5000)}
	page := want(t, b.get(b.back(p)), http.StatusForbidden, "&lt;script&gt;")
	if strings.ContainsAny(page, "\x1b\u202e") || len(page) > 10_000 {
		t.Errorf("the page shows a name as it came: %q", page)
	}
}

// Nothing but the answer to this browser's own sign-in, from the provider, signs it in.
func TestOIDCAttacks(t *testing.T) {
	p := newIdentityProvider(t)
	s := newSite(t, p.config())
	refused := func(name string, b *browser, path string, status int, words string) {
		t.Helper()
		r := b.get(path)
		if page := want(t, r, status, words); strings.Contains(page, oidcSecret) {
			t.Errorf("%s: the page shows the client secret", name)
		}
		if got := b.get("/console/"); got.StatusCode != http.StatusSeeOther || !strings.Contains(got.Header.Get("Location"), signInPath) {
			t.Errorf("%s: signed in", name)
		}
	}
	const notStarted, unusable = "was not started in this browser", "cannot be used"
	// The code of one browser in another, whose own sign-in is under way or not.
	attacker, victim := s.browser(), s.browser()
	path := attacker.back(p)
	refused("no sign-in", victim, path, http.StatusBadRequest, notStarted)
	victim.back(p)
	refused("another's state", victim, path, http.StatusBadRequest, notStarted)
	// The victim's state with the attacker's code: the verifier is another.
	own, _ := url.Parse(victim.back(p))
	stolen, _ := url.Parse(path)
	q := own.Query()
	q.Set("code", stolen.Query().Get("code"))
	refused("another's code", victim, own.Path+"?"+q.Encode(), http.StatusForbidden, unusable)
	// A callback a second time.
	b := s.browser()
	cookies := func() map[string]*http.Cookie {
		saved := map[string]*http.Cookie{}
		for name, c := range b.cookies {
			saved[name] = c
		}
		return saved
	}
	path = b.back(p)
	before := cookies()
	want(t, b.get(path), http.StatusSeeOther, "/console/messages")
	b.do(http.MethodPost, signOutPath, nil)
	refused("the callback again", b, path, http.StatusBadRequest, notStarted)
	b.cookies = before
	refused("the callback and the cookie again", b, path, http.StatusForbidden, unusable)
	b.cookies = map[string]*http.Cookie{}
	refused("another issuer", b, b.back(p)+"&iss=https://evil.test", http.StatusBadRequest, notStarted)
	want(t, b.get(b.back(p)+"&iss="+url.QueryEscape(p.server.URL)), http.StatusSeeOther, "")
	b.do(http.MethodPost, signOutPath, nil)
	denied, _ := url.Parse(b.back(p))
	refused("denied", b, denied.Path+"?"+url.Values{"state": denied.Query()["state"], "error": {"access_denied"}, "error_description": {"<b>no</b>"}}.Encode(), http.StatusForbidden, "(access_denied). &lt;b&gt;no&lt;/b&gt;")

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(jwt.MapClaims) string{
		"nonce":       func(c jwt.MapClaims) string { c["nonce"] = "another"; return p.sign(c) },
		"no nonce":    func(c jwt.MapClaims) string { delete(c, "nonce"); return p.sign(c) },
		"issuer":      func(c jwt.MapClaims) string { c["iss"] = "https://evil.test"; return p.sign(c) },
		"audience":    func(c jwt.MapClaims) string { c["aud"] = "another"; return p.sign(c) },
		"expired":     func(c jwt.MapClaims) string { c["exp"] = time.Now().Add(-time.Minute).Unix(); return p.sign(c) },
		"no expiry":   func(c jwt.MapClaims) string { delete(c, "exp"); return p.sign(c) },
		"no token":    func(jwt.MapClaims) string { return "" },
		"nonsense":    func(jwt.MapClaims) string { return "a.b.c" },
		"not signed":  func(c jwt.MapClaims) string { return unsigned(t, c) },
		"symmetric":   func(c jwt.MapClaims) string { return signedWith(t, jwt.SigningMethodHS256, []byte(oidcSecret), c) },
		"another key": func(c jwt.MapClaims) string { return signedWith(t, jwt.SigningMethodRS256, other, c) },
		"public key":  func(c jwt.MapClaims) string { return signedWith(t, jwt.SigningMethodHS256, p.key.N.Bytes(), c) },
	} {
		p.mu.Lock()
		p.forge = forge
		p.mu.Unlock()
		b := s.browser()
		refused(name, b, b.back(p), http.StatusForbidden, unusable)
	}
	if log := s.logs.String(); !strings.Contains(log, "invalid_grant") || strings.Contains(log, oidcSecret) {
		t.Errorf("the log: %s", log)
	}
}

func unsigned(t *testing.T, c jwt.MapClaims) string {
	t.Helper()
	return signedWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
}

func signedWith(t *testing.T, m jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(m, c)
	token.Header["kid"] = "1"
	signed, err := token.SignedString(key)
	if err != nil {
		t.Error(err)
	}
	return signed
}

// Without its identity provider the relay starts, and says so at the sign-in.
func TestOIDCDown(t *testing.T) {
	p := newIdentityProvider(t)
	p.down = true
	b := newSite(t, p.config()).browser()
	host := strings.TrimPrefix(p.server.URL, "http://")
	want(t, b.get(signInPath), http.StatusOK, "Sign in with "+host)
	want(t, b.get(beginPath), http.StatusBadGateway, "cannot be asked at the moment")
	microsoft := newSite(t, config.Admin{OIDC: config.OIDC{Issuer: "https://login.microsoftonline.com/8f1d9a54-0c0e-4e0b-9a3c-5b1f3f0c2a11/v2.0"}}).browser()
	want(t, microsoft.get(signInPath), http.StatusOK, "Sign in with Microsoft")
}

// A reload that gives the roles to others ends the sessions.
func TestOIDCChanges(t *testing.T) {
	p := newIdentityProvider(t)
	cfg := p.config()
	s := newSite(t, cfg)
	b := s.browser()
	b.get(b.back(p))
	b.site = newSite(t, cfg, s)
	want(t, b.get("/console/"), http.StatusOK, "anna")
	cfg.OIDC.Roles.Admin = []string{"Relay.Root"}
	b.site = newSite(t, cfg, s)
	want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")
}
