package config

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// RenewalNotice is how long before a certificate expires a warning is given.
const RenewalNotice = 14 * 24 * time.Hour

func checkCertificates(cfg *Config, r *report) {
	shared := checkKeyPair("tls", cfg.TLS, r)
	for i, l := range cfg.Listeners {
		key := fmt.Sprintf("listeners[%d]", i)
		leaf := shared
		if l.CertFile != "" {
			leaf = checkKeyPair(key, TLS{l.CertFile, l.KeyFile}, r)
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
	warnValidity(certKey, all[0], time.Now(), r)
	if key == nil {
		return all[0]
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		reportKey(keyKey, strings.TrimPrefix(err.Error(), "tls: "), r)
	}
	return all[0]
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
	data, err := readFile(path, int64(maxPEM))
	if err != nil {
		r.fault(key, "%s; %s", err, fileRemedy)
		return nil
	}
	return data
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
