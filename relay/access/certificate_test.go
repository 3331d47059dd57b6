package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"

	"graphrelay/relay/config"
)

// A certificate's common name signs in only if the certificate has no alternative name of
// any kind.
func TestCertificateNames(t *testing.T) {
	other, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{
		0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03, 0xa0, 0x03, 0x0c, 0x01, 'x'}}}) // a UPN, as on smart cards
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{Options: Options{Config: &config.Config{Users: []config.User{{Name: "crm", Certificate: "crm.contoso.test"}, {Name: "scanner"}}}}}
	for name, tt := range map[string]struct {
		names x509.Certificate
		user  string
	}{
		"none":       {x509.Certificate{}, "crm"},
		"DNS":        {x509.Certificate{DNSNames: []string{"other.contoso.test"}}, ""},
		"its DNS":    {x509.Certificate{Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"CRM.contoso.test"}}, "crm"},
		"mail":       {x509.Certificate{EmailAddresses: []string{"a@contoso.test"}}, ""},
		"URI":        {x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "contoso.test", Path: "/x"}}}, ""},
		"IP":         {x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, ""},
		"other name": {x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: subjectAltName, Value: other}}}, ""},
		"no name":    {x509.Certificate{Subject: pkix.Name{Organization: []string{"Contoso"}}}, ""},
	} {
		template := tt.names
		template.SerialNumber = big.NewInt(1)
		if len(template.Subject.Organization) == 0 && template.Subject.CommonName == "" {
			template.Subject.CommonName = "crm.contoso.test"
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := p.CertificateUser(cert); got != tt.user {
			t.Errorf("%s: signs in as %q, want %q", name, got, tt.user)
		}
	}
}
