// Package testcert makes certificates for tests.
package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"sync"
	"testing"
	"time"
)

// Authority signs certificates. Its methods fail the test on any error.
type Authority struct {
	t    testing.TB
	key  crypto.Signer
	Cert *x509.Certificate
	Pool *x509.CertPool // holds Cert
}

// NewAuthority returns an authority with a certificate of its own.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, key: NewKey(t), Pool: x509.NewCertPool()}
	a.Cert = SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true}, a.key)
	a.Pool.AddCert(a.Cert)
	return a
}

// Intermediate returns an authority whose certificate a has signed.
func (a *Authority) Intermediate(name string) *Authority {
	a.t.Helper()
	key := NewKey(a.t)
	c := a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}, key.Public())
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &Authority{t: a.t, key: key, Cert: c, Pool: pool}
}

// NewKey returns an ECDSA key.
func NewKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey is made once, since that takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// RSAKey returns an RSA key, the same for all tests of a process.
func RSAKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Sign completes c with a serial number and, where they are zero, a validity from a year
// ago to a year from now, and signs it.
func (a *Authority) Sign(c *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	a.t.Helper()
	return sign(a.t, c, a.Cert, public, a.key)
}

// SelfSigned completes c as Sign does, and signs it with its own key.
func SelfSigned(t testing.TB, c *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	return sign(t, c, c, key.Public(), key)
}

func sign(t testing.TB, c, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = serial
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().AddDate(-1, 0, 0)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Server returns a server's certificate for relay.test that ends at a time; the zero time
// is a year from now.
func (a *Authority) Server(key crypto.Signer, end time.Time) *x509.Certificate {
	a.t.Helper()
	return a.Sign(&x509.Certificate{DNSNames: []string{"relay.test"}, NotAfter: end}, key.Public())
}

// Client returns a client's certificate with a new key.
func (a *Authority) Client(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key := NewKey(a.t)
	return tls.Certificate{Certificate: [][]byte{a.Sign(c, key.Public()).Raw}, PrivateKey: key}
}

// WriteCert writes a certificate as PEM.
func WriteCert(t testing.TB, path string, c *x509.Certificate) {
	t.Helper()
	writePEM(t, path, "CERTIFICATE", c.Raw)
}

// WriteKey writes a key as PEM (PKCS #8).
func WriteKey(t testing.TB, path string, key crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, path, "PRIVATE KEY", der)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
