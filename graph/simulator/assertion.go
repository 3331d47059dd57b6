package simulator

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	exchangeAudience = "api://AzureADTokenExchange"
	maxAssertionLife = 24 * time.Hour // [assumed]; the page recommends 5 to 10 minutes
	maxAssertions    = 100_000        // before expired ones are removed
	assertionSkew    = 5 * time.Minute
)

// assertion is a parsed client assertion (RFC 7523 section 2.2), not verified yet.
type assertion struct {
	header struct {
		Algorithm  string `json:"alg"`
		Type       string `json:"typ"`
		Thumbprint string `json:"x5t#S256"`
		SHA1       string `json:"x5t"`
		KeyID      string `json:"kid"`
	}
	claims struct {
		Issuer    string  `json:"iss"`
		Subject   string  `json:"sub"`
		Audience  any     `json:"aud"`
		ID        string  `json:"jti"`
		NotBefore float64 `json:"nbf"`
		Expires   float64 `json:"exp"`
	}
	digest    []byte // SHA-256 of the signed part
	signature []byte
}

func invalidClient(number int, text string) *oauthError {
	return &oauthError{http.StatusUnauthorized, "invalid_client", number, text}
}

func malformed(text string) *oauthError {
	return invalidClient(50027, "JWT token is invalid or malformed: "+text+".")
}

// checkAssertion verifies the client assertion of a certificate or of a federated identity:
// "Microsoft identity platform application authentication certificate credentials". It
// verifies the signature if the app has Certificates or Federated, and all of the audience
// but the host.
func (s *Simulator) checkAssertion(app App, form url.Values) *oauthError {
	if form.Get("client_assertion_type") != assertionType {
		return missingParameter("client_assertion_type")
	}
	a, refused := parseAssertion(form.Get("client_assertion"))
	if refused != nil {
		return refused
	}
	now := time.Now()
	expires := time.Unix(int64(a.claims.Expires), 0)
	begins := time.Unix(int64(a.claims.NotBefore), 0)
	strict := app.registered || len(app.Certificates)+len(app.Federated) > 0
	if expires.Before(now) || begins.After(now.Add(assertionSkew)) || strict && expires.Sub(now) > maxAssertionLife {
		return invalidClient(700024, "Client assertion is not within its valid time range.")
	}
	if a.claims.Audience == exchangeAudience {
		if !strict {
			return nil
		}
		return a.checkFederated(app)
	}
	if a.claims.Issuer != app.ClientID || a.claims.Subject != app.ClientID {
		return malformed("iss and sub must be the client id")
	}
	audience, _ := a.claims.Audience.(string)
	if !strings.Contains(audience, "/"+app.Tenant+"/") || strict && !strings.HasSuffix(audience, "/"+app.Tenant+"/oauth2/v2.0/token") {
		return invalidClient(700023, "Client assertion audience claim does not match Realm issuer.")
	}
	if !strict {
		return nil
	}
	if refused := a.checkCertificate(app); refused != nil {
		return refused
	}
	return s.checkReplay(a.claims.ID, expires)
}

// parseAssertion parses a JWT (RFC 7519).
func parseAssertion(text string) (a assertion, refused *oauthError) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return a, malformed("three parts expected")
	}
	for i, into := range []any{&a.header, &a.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return a, malformed("a part is not base64url")
		}
		if json.Unmarshal(data, into) != nil {
			return a, malformed("a part is not JSON")
		}
	}
	var err error
	if a.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return a, malformed("the signature is not base64url")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	a.digest = digest[:]
	return a, nil
}

// checkCertificate verifies the header and the signature as the page describes them.
func (a assertion) checkCertificate(app App) *oauthError {
	if a.header.Algorithm != "PS256" || a.header.Type != "JWT" {
		return malformed("alg PS256 and typ JWT expected")
	}
	for _, der := range app.Certificates {
		print := sha256.Sum256(der)
		if base64.RawURLEncoding.EncodeToString(print[:]) != a.header.Thumbprint {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			break
		}
		key, ok := cert.PublicKey.(*rsa.PublicKey)
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		if !ok || rsa.VerifyPSS(key, crypto.SHA256, a.digest, a.signature, options) != nil {
			break
		}
		return nil
	}
	return invalidClient(700027, "The certificate with identifier used to sign the client assertion is not registered on application, or its signature is invalid.")
}

// checkFederated verifies the assertion against the app's federated identities.
func (a assertion) checkFederated(app App) *oauthError {
	for _, f := range app.Federated {
		if f.Issuer != a.claims.Issuer || f.Subject != a.claims.Subject {
			continue
		}
		if a.header.Algorithm == "RS256" && rsa.VerifyPKCS1v15(f.Key, crypto.SHA256, a.digest, a.signature) == nil {
			return nil
		}
		return invalidClient(700027, "Client assertion failed signature validation.")
	}
	return invalidClient(700213, "No matching federated identity record found for presented assertion subject.")
}

// checkReplay refuses an assertion whose id was used before.
func (s *Simulator) checkReplay(id string, expires time.Time) *oauthError {
	if id == "" {
		return malformed("jti is missing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.assertions[id]; taken {
		return malformed("it was used before")
	}
	if s.assertions == nil {
		s.assertions = map[string]time.Time{}
	}
	now := time.Now()
	evict(s.assertions, maxAssertions, func(end time.Time) bool { return now.After(end) })
	s.assertions[id] = expires
	return nil
}
