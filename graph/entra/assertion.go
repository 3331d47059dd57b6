package entra

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"graphrelay/internal/text"
)

// assertionType is that of RFC 7523 section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	assertionLife = 10 * time.Minute // the longest that the page on certificate credentials recommends
	clockSkew     = time.Minute      // how far this machine's clock may be ahead of Entra's
	maxAssertion  = 64 << 10         // bytes of a federated token
)

// Certificate signs an application in with a certificate that is registered for it
// ("Microsoft identity platform application authentication certificate credentials").
type Certificate struct {
	App
	Certificate tls.Certificate // with an RSA key, the leaf first
	Chain       bool            // send the certificates too, for subject name and issuer authentication
}

// Source implements graph.SignIn.
func (c Certificate) Source(ctx context.Context, _ string) oauth2.TokenSource {
	return assertionSource{ctx, c.App, c.assertion}
}

// PerMailbox implements graph.SignIn.
func (Certificate) PerMailbox() bool { return false }

// assertion returns a new assertion, signed with the certificate's key.
func (c Certificate) assertion() (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.MapClaims{
		"aud": c.TokenURL(), "iss": c.ClientID, "sub": c.ClientID, "jti": uuid.NewString(),
		"nbf": now.Add(-clockSkew).Unix(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	print := sha256.Sum256(c.Certificate.Certificate[0])
	token.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(print[:])
	if c.Chain {
		token.Header["x5c"] = c.Certificate.Certificate // encoded in base64 (RFC 7515 section 4.1.6)
	}
	return c.sign(token, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
}

// sign signs a token with the certificate's key. It may be one that signs without being in memory, such as in the
// certificate store of Windows, and those jwt does not take.
func (c Certificate) sign(token *jwt.Token, opts crypto.SignerOpts) (string, error) {
	key, ok := c.Certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return "", errors.New("the certificate has no key that signs")
	}
	if _, isRSA := key.Public().(*rsa.PublicKey); !isRSA {
		return "", errors.New("the certificate's key is not an RSA key")
	}
	text, err := token.SigningString()
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(text))
	signature, err := key.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		return "", fmt.Errorf("the certificate's key cannot sign: %w", err)
	}
	return text + "." + token.EncodeSegment(signature), nil
}

// proofAudience and proofLife are those of "Generate proof of possession tokens for rolling
// keys". The life counts from nbf.
const (
	proofAudience = "00000002-0000-0000-c000-000000000000"
	proofLife     = 10 * time.Minute
)

// Proof returns a proof of possession of the certificate's key, with which an application
// adds and removes its certificates (application-rollkey-prooftoken). objectID is that of the
// application, not its client ID. The page signs with RS256.
func (c Certificate) Proof(objectID string) (string, error) {
	begin := time.Now().Add(-clockSkew)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"aud": proofAudience, "iss": objectID, "nbf": begin.Unix(), "exp": begin.Add(proofLife).Unix(),
	})
	thumbprint := sha1.Sum(c.Certificate.Certificate[0])
	token.Header["x5t"] = base64.RawURLEncoding.EncodeToString(thumbprint[:])
	token.Header["kid"] = strings.ToUpper(hex.EncodeToString(thumbprint[:]))
	return c.sign(token, crypto.SHA256)
}

// WorkloadIdentity signs an application in with a token from another issuer, such as
// Kubernetes ("Workload identity federation"). TokenFile is read for each request, since
// the issuer replaces it about once an hour.
type WorkloadIdentity struct {
	App
	TokenFile string
}

// Source implements graph.SignIn.
func (w WorkloadIdentity) Source(ctx context.Context, _ string) oauth2.TokenSource {
	return assertionSource{ctx, w.App, w.assertion}
}

// PerMailbox implements graph.SignIn.
func (WorkloadIdentity) PerMailbox() bool { return false }

// assertion returns the token in the file.
func (w WorkloadIdentity) assertion() (string, error) {
	f, err := os.Open(w.TokenFile)
	if err != nil {
		return "", fmt.Errorf("the federated token cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxAssertion+1))
	if err != nil {
		return "", fmt.Errorf("the federated token cannot be read: %w", err)
	}
	decoded, err := text.Decode(data)
	if err != nil {
		return "", fmt.Errorf("the federated token's file %s %w", w.TokenFile, err)
	}
	data = bytes.TrimSpace(decoded)
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("the federated token's file %s is empty", w.TokenFile)
	case len(data) > maxAssertion:
		return "", fmt.Errorf("the federated token's file %s has more than %d bytes", w.TokenFile, maxAssertion)
	}
	return string(data), nil
}

// assertionSource requests each token with a new client assertion.
type assertionSource struct {
	ctx       context.Context
	app       App
	assertion func() (string, error)
}

// Token implements oauth2.TokenSource.
func (a assertionSource) Token() (*oauth2.Token, error) {
	assertion, err := a.assertion()
	if err != nil { // a fault of the connection, like a refusal by the endpoint
		return nil, &oauth2.RetrieveError{ErrorCode: "no_assertion", ErrorDescription: err.Error()}
	}
	cc := a.app.credentials()
	cc.EndpointParams = url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	return redactingSource{cc.TokenSource(a.ctx), []string{assertion}}.Token()
}
