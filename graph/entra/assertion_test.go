package entra_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"

	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
)

const clientID = "22222222-2222-2222-2222-222222222222"

func newCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "graphrelay"}}, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// endpoint is a token endpoint that records its requests.
type endpoint struct {
	*httptest.Server
	forms []map[string]string
}

func newEndpoint(t *testing.T, refuse bool) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form := map[string]string{}
		for key := range r.PostForm {
			form[key] = r.PostForm.Get(key)
		}
		e.forms = append(e.forms, form)
		w.Header().Set("Content-Type", "application/json")
		if refuse { // and repeats what it was sent
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "no: " + form["client_assertion"]})
			return
		}
		_, _ = w.Write([]byte(`{"token_type":"Bearer","expires_in":3600,"access_token":"t"}`))
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) app() entra.App {
	return entra.App{Tenant: "contoso.test", ClientID: clientID, LoginURL: e.URL, GraphURL: "https://graph.microsoft.com"}
}

// OpenSSL verifies the assertion, with the certificate only.
func TestCertificateAssertion(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	e, cert := newEndpoint(t, false), newCertificate(t)
	source := entra.Certificate{App: e.app(), Certificate: cert, Chain: true}.Source(t.Context(), "")
	for range 2 {
		if token, err := source.Token(); err != nil || token.AccessToken != "t" {
			t.Fatalf("%v, %v", token, err)
		}
	}
	form := e.forms[0]
	if form["client_assertion"] == e.forms[1]["client_assertion"] {
		t.Error("an assertion was used twice")
	}
	if form["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form["grant_type"] != "client_credentials" ||
		form["client_id"] != clientID || form["scope"] != "https://graph.microsoft.com/.default" || form["client_secret"] != "" {
		t.Errorf("asked with %v", form)
	}
	parts := strings.Split(form["client_assertion"], ".")
	if len(parts) != 3 {
		t.Fatal("the assertion has not three parts")
	}
	var header struct {
		Alg, Typ string
		X5t      string   `json:"x5t#S256"`
		X5c      []string `json:"x5c"`
	}
	decodePart(t, parts[0], &header)
	der := cert.Certificate[0]
	print := sha256.Sum256(der)
	if header.Alg != "PS256" || header.Typ != "JWT" || header.X5t != base64.RawURLEncoding.EncodeToString(print[:]) ||
		len(header.X5c) != 1 || header.X5c[0] != base64.StdEncoding.EncodeToString(der) {
		t.Errorf("header %+v", header)
	}
	var claims struct {
		Aud, Iss, Sub, Jti string
		Nbf, Iat, Exp      int64
	}
	decodePart(t, parts[1], &claims)
	if claims.Aud != e.URL+"/contoso.test/oauth2/v2.0/token" || claims.Iss != clientID || claims.Sub != clientID || len(claims.Jti) != 36 ||
		claims.Iat-claims.Nbf != 60 || claims.Exp-claims.Iat != 600 {
		t.Errorf("claims %+v", claims)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	public, err := exec.Command(openssl, "x509", "-in", certFile, "-noout", "-pubkey").Output()
	if err != nil {
		t.Fatal(err)
	}
	verify := func(signed string) (string, error) {
		out, err := exec.Command(openssl, "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest",
			"-verify", write("public.pem", public), "-signature", write("signature", signature), write("signed", []byte(signed))).CombinedOutput()
		return string(out), err
	}
	if out, err := verify(parts[0] + "." + parts[1]); err != nil {
		t.Errorf("OpenSSL: %s", out)
	}
	if _, err := verify(parts[0] + "." + parts[1] + "x"); err == nil {
		t.Error("OpenSSL takes anything")
	}
}

func decodePart(t *testing.T, part string, into any) {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// The file is read for each token. Errors do not show its content.
func TestWorkload(t *testing.T) {
	e := newEndpoint(t, false)
	path := filepath.Join(t.TempDir(), "token")
	source := entra.WorkloadIdentity{App: e.app(), TokenFile: path}.Source(t.Context(), "")
	for _, tt := range []struct{ content, token, want string }{
		{"first\n", "first", ""}, {"second", "second", ""}, {" \n", "", "is empty"}, {strings.Repeat("a", 64<<10+1), "", "more than 65536 bytes"},
		{"\xef\xbb\xbfthird\r\n", "third", ""}, {"\xff\xfef\x00o\x00", "fo", ""}, {"f\x00o\x00", "", "UTF-16"}, // as Windows writes it
	} {
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := source.Token()
		var refused *oauth2.RetrieveError
		switch {
		case tt.want == "" && (err != nil || e.forms[len(e.forms)-1]["client_assertion"] != tt.token):
			t.Errorf("%q: %v, %v", tt.content, e.forms, err)
		case tt.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "aaa")):
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Token(); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("missing: %v", err)
	}
	if len(e.forms) != 4 {
		t.Errorf("%d requests", len(e.forms))
	}
}

func TestAssertionRefused(t *testing.T) {
	e := newEndpoint(t, true)
	_, err := entra.Certificate{App: e.app(), Certificate: newCertificate(t)}.Source(t.Context(), "").Token()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || strings.Contains(err.Error(), e.forms[0]["client_assertion"]) {
		t.Errorf("refused with %v", err)
	}
	var header map[string]any
	decodePart(t, strings.Split(e.forms[0]["client_assertion"], ".")[0], &header)
	if header["x5c"] != nil {
		t.Error("the chain is sent unasked")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bad := newCertificate(t)
	bad.PrivateKey = key
	if _, err := (entra.Certificate{App: e.app(), Certificate: bad}).Source(t.Context(), "").Token(); err == nil || len(e.forms) != 1 {
		t.Errorf("a key of another kind: %v", err)
	}
}

// Only registered credentials can sign in at an endpoint that verifies everything.
func TestAssertionVerified(t *testing.T) {
	cert, other := newCertificate(t), newCertificate(t)
	issuer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const iss, sub = "https://cluster.test", "system:serviceaccount:mail:graphrelay"
	sim := simulator.New(simulator.Options{Apps: []simulator.App{{
		ClientID: clientID, Certificates: [][]byte{cert.Certificate[0]}, Federated: []simulator.Federated{{Issuer: iss, Subject: sub, Key: &issuer.PublicKey}},
	}}})
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	app := entra.App{Tenant: "contoso.test", ClientID: clientID, LoginURL: server.URL, GraphURL: server.URL}
	elsewhere := app
	elsewhere.GraphURL = "https://graph.microsoft.us"
	mixed := cert
	mixed.PrivateKey = other.PrivateKey
	workload := func(key *rsa.PrivateKey, subject string, life time.Duration) oauth2.TokenSource {
		signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
			"aud": "api://AzureADTokenExchange", "iss": iss, "sub": subject, "exp": time.Now().Add(life).Unix()}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(signed), 0o600); err != nil {
			t.Fatal(err)
		}
		return entra.WorkloadIdentity{App: app, TokenFile: path}.Source(t.Context(), "")
	}
	for name, tt := range map[string]struct {
		source oauth2.TokenSource
		want   string
	}{
		"registered":      {entra.Certificate{App: app, Certificate: cert}.Source(t.Context(), ""), ""},
		"unknown":         {entra.Certificate{App: app, Certificate: other}.Source(t.Context(), ""), "AADSTS700027"},
		"another key":     {entra.Certificate{App: app, Certificate: mixed}.Source(t.Context(), ""), "AADSTS700027"},
		"another cloud":   {entra.Certificate{App: elsewhere, Certificate: cert}.Source(t.Context(), ""), "AADSTS500011"},
		"workload":        {workload(issuer, sub, time.Hour), ""},
		"another subject": {workload(issuer, "somebody", time.Hour), "AADSTS700213"},
		"another issuer":  {workload(other.PrivateKey.(*rsa.PrivateKey), sub, time.Hour), "AADSTS700027"},
		"old token":       {workload(issuer, sub, -time.Hour), "AADSTS700024"},
	} {
		for range 2 { // a new assertion each time: none is refused as used before
			_, err := tt.source.Token()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s: %v, want %q", name, err, tt.want)
			}
		}
	}
}

// The endpoint accepts an assertion once.
func TestAssertionReplayed(t *testing.T) {
	cert, e := newCertificate(t), newEndpoint(t, false)
	if _, err := (entra.Certificate{App: e.app(), Certificate: cert}).Source(t.Context(), "").Token(); err != nil {
		t.Fatal(err)
	}
	sim := simulator.New(simulator.Options{Apps: []simulator.App{{Certificates: [][]byte{cert.Certificate[0]}}}})
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	form := url.Values{}
	for key, value := range e.forms[0] {
		form.Set(key, value)
	}
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		resp, err := http.PostForm(server.URL+"/contoso.test/oauth2/v2.0/token", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s, want %d", resp.Status, want)
		}
	}
}

// hidden is a key that signs and cannot be read, like one in the certificate store of Windows.
type hidden struct{ crypto.Signer }

// A key that is not in memory signs both tokens.
func TestHiddenKey(t *testing.T) {
	e, cert := newEndpoint(t, false), newCertificate(t)
	key := cert.PrivateKey.(crypto.Signer)
	cert.PrivateKey = hidden{key}
	c := entra.Certificate{App: e.app(), Certificate: cert}
	if _, err := c.Source(t.Context(), "").Token(); err != nil {
		t.Fatal(err)
	}
	proof, err := c.Proof("33333333-3333-3333-3333-333333333333")
	if err != nil {
		t.Fatal(err)
	}
	for want, token := range map[string]string{"PS256": e.forms[0]["client_assertion"], "RS256": proof} {
		verified, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{want}))
		if err != nil || !verified.Valid {
			t.Errorf("%s: %v", want, err)
		}
	}
}
