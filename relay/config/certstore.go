package config

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"graphrelay/internal/certstore"
)

// CertificateStore names a certificate in the store of a Windows machine. The zero value is none.
type CertificateStore struct {
	Thumbprint string `yaml:"thumbprint"` // in upper case, without separators
	Subject    string `yaml:"subject"`
}

func (s CertificateStore) given() bool { return s != CertificateStore{} }

// given reports whether the certificate is anywhere.
func (t TLS) given() bool { return t.CertFile != "" || t.CertificateStore.given() }

// Where returns the configuration key that says where the certificate is, and what it says.
func (t TLS) Where() (key, value string) {
	if t.CertificateStore.given() {
		return "certificate_store", certstore.Query(t.CertificateStore).String()
	}
	return "cert_file", t.CertFile
}

// The keys that certificate_store takes the place of.
var (
	listenerFiles    = []string{"cert_file", "key_file"}
	certificateFiles = []string{"certificate_file", "certificate_key_file", "certificate_password", "certificate_password_file", "certificate_password_env"}
)

// certificateOf checks a section that has to have a certificate, in files or in the store.
func (v validator) certificateOf(section, certFile, keyFile string, s *CertificateStore) {
	if v.has(section + ".certificate_store") {
		v.certificateStore(section, s, listenerFiles...)
		return
	}
	v.require(section+".cert_file", certFile, "add the path of a PEM certificate")
	v.require(section+".key_file", keyFile, "add the path of the certificate's PEM key")
}

// certificateStore checks a certificate_store, which takes the place of files, and puts its thumbprint into the form
// in which they are compared. One with a fault is removed, so that it is not looked for.
func (v validator) certificateStore(section string, s *CertificateStore, files ...string) {
	key := section + ".certificate_store"
	for _, name := range files {
		if at := section + "." + name; v.has(at) {
			v.fault(at, "is given together with certificate_store, where the certificate and its key are; keep one of the two")
		}
	}
	switch {
	case s.Thumbprint != "" && s.Subject != "":
		v.fault(key+".subject", "is given together with thumbprint; keep one of the two")
	case s.Thumbprint != "":
		thumbprint, err := certstore.ParseThumbprint(s.Thumbprint)
		if err == nil {
			s.Thumbprint = thumbprint
			return
		}
		v.fault(key+".thumbprint", "%s", err)
	case s.Subject != "":
		return
	default:
		v.fault(key, `is empty; write the thumbprint or the subject of a certificate in %s, or remove the key`, certstore.Name)
	}
	*s = CertificateStore{}
}

// checkStore returns a certificate that is in the store of the machine, or nil if it reported a fault.
func checkStore(section string, s CertificateStore, r *report) *x509.Certificate {
	key := section + ".certificate_store"
	pair, err := certstore.Load(certstore.Query(s), nil)
	if err != nil {
		r.fault(key, "%s", err)
		return nil
	}
	warnValidity(key, pair.Leaf, time.Now(), r)
	return pair.Leaf
}

// loadClientCertificate returns the application's certificate, which is in the store of the machine, or nil if it
// reported a fault. Entra takes only signatures with RSA-PSS.
func loadClientCertificate(section string, c *Connection, r *report) *tls.Certificate {
	key := section + ".certificate_store"
	cert, err := certstore.Load(certstore.Query(c.CertificateStore), nil)
	if err == nil {
		err = usable(cert.Leaf)
	}
	if err != nil {
		r.fault(key, "%s", err)
		return nil
	}
	if !certstore.SignsPSS(cert) {
		r.fault(key, `names a certificate whose key cannot sign with RSA-PSS, which the sign-in needs; import it again, into the "Microsoft Software Key Storage Provider"`)
		return nil
	}
	warnNotYetValid(key, cert.Leaf, r)
	return cert
}

// certificateKey returns the key that names the application's certificate.
func (c *Connection) certificateKey() string {
	if c.CertificateStore.given() {
		return "certificate_store"
	}
	return "certificate_file"
}
