package harness

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"graphrelay/internal/testcert"
)

// certificate is the self-signed certificate of every relay that a package starts.
var certificate struct {
	sync.Mutex
	*x509.Certificate
	key crypto.Signer
}

// WriteCertificate writes that certificate and its key, as relay.crt and relay.key.
func WriteCertificate(t *testing.T, dir string) {
	t.Helper()
	certificate.Lock()
	defer certificate.Unlock()
	if certificate.Certificate == nil {
		certificate.key = testcert.NewKey(t)
		certificate.Certificate = testcert.SelfSigned(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "relay.contoso.test"}, NotAfter: time.Now().AddDate(0, 3, 0),
			DNSNames: []string{"relay.contoso.test", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			IsCA: true, BasicConstraintsValid: true, // so that every client takes it for an authority
			KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}, certificate.key)
	}
	testcert.WriteCert(t, filepath.Join(dir, "relay.crt"), certificate.Certificate)
	testcert.WriteKey(t, filepath.Join(dir, "relay.key"), certificate.key)
}

// ClientTLS returns the TLS settings of a client that trusts only that certificate.
func ClientTLS() *tls.Config {
	certificate.Lock()
	defer certificate.Unlock()
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Certificate) // NewRelay has written it
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}
