//go:build ignore

package relay

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"

	"graphrelay/relay/config"
)

// listenerTLS is how a listener speaks TLS; nil where it has no certificate.
func listenerTLS(l config.Listener, cert *certificate) (*tls.Config, error) {
	if cert == nil {
		return nil, nil
	}
	t := &tls.Config{GetCertificate: cert.get, MinVersion: l.TLSMin.Version(), CipherSuites: l.CipherSuites()}
	if l.ClientCAFile == "" {
		return t, nil
	}
	data, err := os.ReadFile(l.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("load the authority of client certificates: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(data) { // nil would stand for the system's
		return nil, fmt.Errorf("%s holds no certificate", l.ClientCAFile)
	}
	t.ClientAuth = tls.VerifyClientCertIfGiven
	return t, nil
}

// CertificateUser implements smtpd.Policy.
func (p *policy) CertificateUser(cert *x509.Certificate) string {
	for _, name := range certificateNames(cert) {
		for _, u := range p.cfg.Users {
			if u.Certificate != "" && u.Certificate == strings.ToLower(name) {
				return u.Name
			}
		}
	}
	return ""
}

// certificateNames are the names that an authority vouches for. The common name is
// one where there is no other (RFC 6125 section 6.4.4): an authority that checks
// the others may leave it to whoever asks for a certificate.
func certificateNames(cert *x509.Certificate) []string {
	names := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	if len(names) == 0 {
		names = append(names, cert.Subject.CommonName)
	}
	return names
}
