package connection

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

// Only certificates that the relay made are renewed, unless that is turned off. Connections
// that share them have one renewal.
func TestRenewals(t *testing.T) {
	s, err := credential.Create(filepath.Join(t.TempDir(), "certificates"), "relay", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair := s.TLS()
	managed := config.Connection{Name: "a", SignIn: config.SignInCertificate, Managed: s, CertificateRenewal: true}
	shared, off := managed, managed
	shared.Name, off.CertificateRenewal = "b", false
	for name, tt := range map[string]struct {
		connections []config.Connection
		want        int
	}{
		"managed":    {[]config.Connection{managed}, 1},
		"shared":     {[]config.Connection{managed, shared}, 1},
		"turned off": {[]config.Connection{off}, 0},
		"own file":   {[]config.Connection{{Name: "a", SignIn: config.SignInCertificate, Certificate: &pair, CertificateRenewal: true}}, 0},
		"secret":     {[]config.Connection{{Name: "a", SignIn: config.SignInSecret, CertificateRenewal: true}}, 0},
	} {
		c := NewClients(&config.Config{Connections: tt.connections}, NewPrincipals(), func(string) entra.RefreshTokens { return nil }, func(string) graph.Observer { return nil })
		if got := c.Renewals(slog.New(slog.DiscardHandler)); len(got) != tt.want {
			t.Errorf("%s: %d renewals, want %d", name, len(got), tt.want)
		}
		c.Close()
	}
	var none *tls.Certificate
	if got := Certificates(&config.Connection{Certificate: none}); got != nil {
		t.Errorf("without a certificate: %v", got)
	}
}
