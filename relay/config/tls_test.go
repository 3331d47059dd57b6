package config

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"testing"

	"graphrelay/internal/testcert"
)

// writeAuthority writes ca.crt, an authority with an RSA key that is a listener's
// certificate too.
func writeAuthority(t *testing.T) {
	t.Helper()
	key := testcert.RSAKey(t)
	testcert.WriteCert(t, "ca.crt", testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true}, key))
	write(t, "ca.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))}))
}

// TestTLSKeys reads the TLS settings of listeners and the certificates of users.
func TestTLSKeys(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/tls.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		version uint16
		own     bool     // certificate
		has     []uint16 // among the ciphers; nil: crypto/tls decides
		lacks   []uint16
	}{
		{version: tls.VersionTLS12},
		{version: tls.VersionTLS13},
		{version: tls.VersionTLS10, own: true,
			has:   []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
			lacks: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}},
		{version: tls.VersionTLS12, own: true, has: []uint16{tls.TLS_RSA_WITH_AES_256_CBC_SHA}, lacks: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
		{version: tls.VersionTLS12, has: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, lacks: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
	} {
		l := cfg.Listeners[i]
		ciphers := l.CipherSuites()
		if l.TLSMin.Version() != want.version || (ciphers == nil) != (want.has == nil) {
			t.Errorf("%s: floor %s, ciphers %v", l.Name, tls.VersionName(l.TLSMin.Version()), ciphers)
		}
		for _, id := range want.has {
			if !slices.Contains(ciphers, id) {
				t.Errorf("%s lacks %s", l.Name, tls.CipherSuiteName(id))
			}
		}
		for _, id := range want.lacks {
			if slices.Contains(ciphers, id) {
				t.Errorf("%s has %s", l.Name, tls.CipherSuiteName(id))
			}
		}
		if own := cfg.CertificateOf(l) != cfg.TLS; own != want.own {
			t.Errorf("%s: a certificate of its own: %v", l.Name, own)
		}
	}
	if got := cfg.Users[0].Certificate; got != "crm.contoso.test" {
		t.Errorf("the user's certificate is %q", got)
	}
}
