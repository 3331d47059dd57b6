package console

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"graphrelay/test/harness"
)

// TestOIDC signs in with an identity provider of another site, and is then on the page that was asked
// for.
func TestOIDC(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "operate.js")
	issuer := identityProvider(t)
	r := harness.StartRelay(t, harness.StartSim(t), harness.Replace("admin:\n", `admin:
  oidc: {issuer: "`+issuer+`", client_id: console, client_secret: of-the-console, roles: {operator: [Relay.Operator]}}
`))
	base := "http://" + strings.Replace(r.Address["admin"], "127.0.0.1", "localhost", 1)
	var steps []string
	for _, s := range [][]string{
		{"open", "/console/messages?q=invoice"},
		{"click", "link", "Sign in with " + strings.TrimPrefix(issuer, "http://")},
		{"see", "No message is like this"},
	} {
		step, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, string(step))
	}
	if out := harness.Tool(t, "", node, append([]string{script, chromium, base}, steps...)...); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
}

// identityProvider returns the URL of an OpenID Connect provider that signs in anna at once.
func identityProvider(t *testing.T) (issuer string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) { // the code is the nonce
		back := url.Values{"code": {r.FormValue("nonce")}, "state": {r.FormValue("state")}}
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": issuer, "aud": "console", "sub": "1", "preferred_username": "anna@contoso.test",
			"roles": "Relay.Operator", "nonce": r.FormValue("code"), "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()})
		token.Header["kid"] = "1"
		signed, err := token.SignedString(key)
		if err != nil {
			http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 3600, "id_token": signed})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	issuer = server.URL
	return issuer
}
