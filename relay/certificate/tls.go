package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"graphrelay/internal/certstore"
	"graphrelay/relay/config"
)

// ListenerTLS returns the TLS settings of a listener that shows cert; nil if cert is nil,
// as for a listener without TLS.
func ListenerTLS(l config.Listener, cert *Certificate) (*tls.Config, error) {
	if cert == nil {
		return nil, nil
	}
	t := &tls.Config{GetCertificate: cert.get, MinVersion: l.TLSMin.Version(), CipherSuites: l.CipherSuites()}
	if l.ClientCAFile == "" {
		return cert.limit(t), nil
	}
	data, err := config.ReadPEM(l.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("load the authority of client certificates: client_ca_file %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(data) { // a nil pool would stand for the system's authorities
		return nil, fmt.Errorf("%s holds no certificate", l.ClientCAFile)
	}
	t.ClientAuth = tls.VerifyClientCertIfGiven
	return cert.limit(t), nil
}

// AdminTLS returns the TLS settings of the admin address; nil if it has none.
func (l List) AdminTLS(a config.Admin) *tls.Config {
	cert := l[len(l)-1]
	if cert == nil {
		return nil
	}
	return cert.limit(&tls.Config{GetCertificate: cert.get, MinVersion: a.TLS.TLSMin.Version()})
}

// limit returns settings that go no further than TLS 1.2 while the certificate's key cannot sign with RSA-PSS, without
// which there is no TLS 1.3 with an RSA key.
func (c *Certificate) limit(t *tls.Config) *tls.Config {
	upTo12 := t.Clone()
	upTo12.MaxVersion = tls.VersionTLS12
	t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if !certstore.SignsPSS(c.current.Load()) {
			return upTo12, nil
		}
		return nil, nil
	}
	return t
}
