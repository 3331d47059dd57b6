package config

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/certstore"
	"graphrelay/internal/text"
)

// RenewalNotice is how long before a certificate expires a warning is given.
const RenewalNotice = 14 * 24 * time.Hour

func checkCertificates(cfg *Config, r *report) {
	shared := checkKeyPair("tls", cfg.TLS, r)
	checkKeyPair("admin.tls", cfg.Admin.TLS.Certificate(), r)
	for i, l := range cfg.Listeners {
		key := fmt.Sprintf("listeners[%d]", i)
		leaf := shared
		if own := (TLS{l.CertFile, l.KeyFile, l.CertificateStore}); own.given() {
			leaf = checkKeyPair(key, own, r)
		}
		if l.TLSMin.Insecure() && leaf != nil {
			warnOldDevices(key+".tls_min", leaf, r)
		}
		if l.ClientCAFile != "" {
			checkAuthority(key+".client_ca_file", l.ClientCAFile, r)
		}
	}
}

// checkKeyPair returns the certificate, or nil if there is no usable one.
func checkKeyPair(section string, t TLS, r *report) *x509.Certificate {
	if t.CertificateStore.given() {
		return checkStore(section, t.CertificateStore, r)
	}
	certKey, keyKey := section+".cert_file", section+".key_file"
	cert := readPEM(certKey, t.CertFile, r)
	key := readPEM(keyKey, t.KeyFile, r)
	if key != nil {
		warnReadable(keyKey, t.KeyFile, r)
	}
	if cert == nil {
		return nil
	}
	all, err := certificates(cert)
	if err != nil {
		r.fault(certKey, "names a file without a usable certificate (%s); name a PEM file with the certificate and its chain", err)
		return nil
	}
	leaf := all[0]
	if key != nil {
		pair, err := keyPair(cert, key)
		if err != nil {
			reportKey(keyKey, strings.TrimPrefix(err.Error(), "tls: "), r)
		} else if pair.Leaf != nil {
			leaf = pair.Leaf
		}
	}
	warnValidity(certKey, leaf, time.Now(), r)
	return leaf
}

// LoadKeyPair reads a certificate with its chain, and its key. current is what it returned before, or nil.
func LoadKeyPair(t TLS, current *tls.Certificate) (*tls.Certificate, error) {
	if t.CertificateStore.given() {
		pair, err := certstore.Load(certstore.Query(t.CertificateStore), current)
		if err != nil {
			return nil, fmt.Errorf("certificate_store %w", err)
		}
		return pair, nil
	}
	cert, err := ReadPEM(t.CertFile)
	if err != nil {
		return nil, fmt.Errorf("cert_file %w", err)
	}
	key, err := ReadPEM(t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key_file %w", err)
	}
	pair, err := keyPair(cert, key)
	return &pair, err
}

// keyPair is tls.X509KeyPair for certificates in any order: some authorities deliver their
// own first.
func keyPair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return pair, nil
	}
	all, parseErr := certificates(cert)
	if parseErr != nil || len(all) > maxChain {
		return pair, err
	}
	for i := 1; i < len(all); i++ {
		if ordered, e := tls.X509KeyPair(encodePEM(chain(all, i)), key); e == nil {
			return ordered, nil
		}
	}
	return pair, err
}

// maxChain is the most certificates that are put in order.
const maxChain = 20

// chain returns the certificates with number leaf first, then its issuer and so on, and then
// the rest.
func chain(all []*x509.Certificate, leaf int) []*x509.Certificate {
	ordered := []*x509.Certificate{all[leaf]}
	rest := slices.Delete(slices.Clone(all), leaf, leaf+1)
	for i := 0; i >= 0; {
		last := ordered[len(ordered)-1]
		i = slices.IndexFunc(rest, func(c *x509.Certificate) bool { return last.CheckSignatureFrom(c) == nil })
		if i >= 0 {
			ordered = append(ordered, rest[i])
			rest = slices.Delete(rest, i, i+1)
		}
	}
	return append(ordered, rest...)
}

func encodePEM(all []*x509.Certificate) (data []byte) {
	for _, c := range all {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return data
}

func reportKey(at, problem string, r *report) {
	if strings.Contains(problem, "does not match") {
		r.fault(at, "names a key that does not belong to the certificate in cert_file; name the key that the certificate was issued for")
		return
	}
	r.fault(at, "names a file without a usable key (%s); name a PEM file with the certificate's key, which must not be encrypted", problem)
}

// readPEM reads a file. It returns nil if path is empty or the file cannot be read.
func readPEM(key, path string, r *report) []byte {
	if path == "" {
		return nil
	}
	data, err := ReadPEM(path)
	if err != nil {
		r.fault(key, "%s", withRemedy(err, fileRemedy))
		return nil
	}
	return data
}

// ReadPEM reads a file, which may be PEM as PowerShell writes it, in UTF-16. Its errors do not
// show the path.
func ReadPEM(path string) ([]byte, error) {
	data, err := readFile(path, int64(maxPEM))
	if err != nil {
		return nil, err
	}
	if decoded, err := text.Decode(data); err == nil { // else it is binary
		data = decoded
	}
	return data, nil
}

// certificates parses all certificates in a PEM file. There must be at least one.
func certificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no CERTIFICATE block")
	}
	return all, nil
}

// checkAuthority checks that a file contains only certificate authorities. A client's own
// certificate would be trusted with any name, although no authority has verified it.
func checkAuthority(key, path string, r *report) {
	data := readPEM(key, path, r)
	if data == nil {
		return
	}
	all, err := certificates(data)
	if err != nil {
		r.fault(key, "names a file without usable certificates (%s); name a PEM file with the certificates of your own certificate authority", err)
		return
	}
	for _, authority := range all {
		if !authority.IsCA {
			r.fault(key, "contains the certificate of %s, which is not a certificate authority; name a PEM file with only the certificates of your own authority", quote(authority.Subject.String()))
			return
		}
		warnValidity(key, authority, time.Now(), r)
	}
}

// readAuthorities reads the certificates that a connection trusts. That of a single server
// is accepted too, since it cannot issue others.
func readAuthorities(key, path string, r *report) []*x509.Certificate {
	data := readPEM(key, path, r)
	if data == nil {
		return nil
	}
	all, err := certificates(data)
	if err != nil {
		r.fault(key, "names a file without usable certificates (%s); name a PEM file with the certificates to trust", err)
		return nil
	}
	for _, c := range all {
		warnValidity(key, c, time.Now(), r)
	}
	return all
}

// warnValidity warns of a certificate that is not valid now or expires soon. That is not a
// fault: many clients never check it, and a relay that does not start is worse.
func warnValidity(key string, cert *x509.Certificate, now time.Time, r *report) {
	end := cert.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.After(cert.NotAfter):
		r.warn(key, "names a certificate that expired on %s; renew it", end)
	case now.Before(cert.NotBefore):
		r.warn(key, "names a certificate that is not valid before %s; check the clock", cert.NotBefore.UTC().Format(time.DateOnly))
	case now.Add(RenewalNotice).After(cert.NotAfter):
		r.warn(key, "names a certificate that expires on %s; renew it", end)
	}
}

// warnOldDevices warns of a certificate without an RSA key on a listener for old devices.
// Many devices without TLS 1.2 support no other keys, and ACME clients create ECDSA ones.
func warnOldDevices(key string, leaf *x509.Certificate, r *report) {
	if _, isRSA := leaf.PublicKey.(*rsa.PublicKey); !isRSA {
		r.warn(key, "is for old devices, but the certificate has an %s key, which many of them do not support; give the listener a certificate with an RSA key", leaf.PublicKeyAlgorithm)
	}
}
