package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"graphrelay/relay/smtpd"
)

// TLSFloor is the lowest version of TLS that a listener accepts. The insecure ones also
// allow the ciphers that crypto/tls considers insecure and old devices need.
type TLSFloor string

// The values of TLSFloor. RFC 8996 forbids versions below 1.2.
const (
	TLS13         TLSFloor = "1.3"
	TLS12         TLSFloor = "1.2"
	TLS12Insecure TLSFloor = "1.2-insecure"
	TLS11Insecure TLSFloor = "1.1-insecure"
	TLS10Insecure TLSFloor = "1.0-insecure"
)

// Values implements enumeration.
func (TLSFloor) Values() []string {
	return values(TLS13, TLS12, TLS12Insecure, TLS11Insecure, TLS10Insecure)
}

// Insecure reports whether the floor allows ciphers that crypto/tls disables by default.
func (f TLSFloor) Insecure() bool { return strings.HasSuffix(string(f), "-insecure") }

// Version returns the version's constant of crypto/tls.
func (f TLSFloor) Version() uint16 {
	switch f {
	case TLS13:
		return tls.VersionTLS13
	case TLS11Insecure:
		return tls.VersionTLS11
	case TLS10Insecure:
		return tls.VersionTLS10
	}
	return tls.VersionTLS12
}

// CipherSuite is a cipher suite of TLS 1.0 to 1.2, by its IANA name.
type CipherSuite uint16

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *CipherSuite) UnmarshalText(text []byte) error {
	name := string(text)
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.Name != name {
			continue
		}
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			return fmt.Errorf("is %s, a cipher of TLS 1.3, and those are always enabled; remove it", name)
		}
		if isRC4(suite) {
			return fmt.Errorf("is %s, which is broken (RFC 7465); remove it", name)
		}
		*c = CipherSuite(suite.ID)
		return nil
	}
	return fmt.Errorf("is %s, which is not a cipher that graphrelay supports; write IANA names, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", quote(name))
}

// String returns the IANA name.
func (c CipherSuite) String() string { return tls.CipherSuiteName(uint16(c)) }

func isRC4(suite *tls.CipherSuite) bool { return strings.Contains(suite.Name, "_RC4_") }

// CipherSuites returns those that the listener accepts up to TLS 1.2, or nil for the default
// of crypto/tls. With an insecure floor these are all but RC4, with RSA key exchange and 3DES
// among them; crypto/tls prefers the better ones.
func (l Listener) CipherSuites() []uint16 {
	var ids []uint16
	for _, c := range l.TLSCiphers {
		ids = append(ids, uint16(c))
	}
	if ids != nil || !l.TLSMin.Insecure() {
		return ids
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !isRC4(suite) {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

// CertificateOf returns where the certificate of a listener with TLS is.
func (c *Config) CertificateOf(l Listener) TLS {
	if own := (TLS{l.CertFile, l.KeyFile, l.CertificateStore}); own.given() {
		return own
	}
	return c.TLS
}

func (v validator) listenerTLS(key string, l *Listener) {
	if l.TLS == smtpd.TLSNone {
		v.uselessTLS(key)
		return
	}
	v.listenerCertificate(key, l)
	v.listenerCiphers(key, *l)
	if l.TLSMin.Insecure() {
		v.warn(key+".tls_min", "is %s, so mail and passwords that pass this listener may be read and changed on the way; use it only for devices that support nothing better, on a listener of their own with networks", l.TLSMin)
	}
	switch {
	case !v.has(key + ".client_ca_file"):
	case l.ClientCAFile == "":
		v.fault(key+".client_ca_file", "is empty; name a PEM file with the certificates of your own certificate authority, or remove the key")
	case l.Auth == smtpd.AuthNone:
		v.fault(key+".client_ca_file", "has no effect with auth: none; set auth: optional or required, or remove the key")
	case !slices.ContainsFunc(v.cfg.Users, func(u User) bool { return u.Certificate != "" }):
		v.warn(key+".client_ca_file", "has no effect, since no user has a certificate; add one to a user")
	}
}

// uselessTLS reports TLS settings on a listener without TLS: they give no protection.
func (v validator) uselessTLS(key string) {
	if v.isBad(key + ".tls") {
		return
	}
	for _, name := range []string{"cert_file", "key_file", "certificate_store", "tls_min", "tls_ciphers", "client_ca_file"} {
		if at := key + "." + name; v.has(at) {
			v.fault(at, "has no effect with tls: none; set tls: starttls or implicit, or remove the key")
		}
	}
}

func (v validator) listenerCertificate(key string, l *Listener) {
	switch {
	case v.has(key + ".certificate_store"):
		v.certificateStore(key, &l.CertificateStore, listenerFiles...)
	case v.has(key+".cert_file") || v.has(key+".key_file"):
		v.require(key+".cert_file", l.CertFile, "add the path of a PEM certificate, or remove key_file")
		v.require(key+".key_file", l.KeyFile, "add the path of the certificate's PEM key, or remove cert_file")
	case !v.has("tls"):
		v.fault(key+".tls", "is %s, but there is no certificate; add a tls section with cert_file and key_file, or with certificate_store", l.TLS)
	}
}

func (v validator) listenerCiphers(key string, l Listener) {
	switch {
	case !v.has(key + ".tls_ciphers"):
		return
	case len(l.TLSCiphers) == 0:
		v.fault(key+".tls_ciphers", "is empty; list ciphers, or remove the key")
	case l.TLSMin == TLS13:
		v.fault(key+".tls_ciphers", "has no effect with tls_min: 1.3, whose ciphers are always enabled; remove it")
	}
	for i, c := range l.TLSCiphers {
		if !l.TLSMin.Insecure() && isInsecure(c) && !v.isBad(key+".tls_min") {
			v.fault(fmt.Sprintf("%s.tls_ciphers[%d]", key, i), "is %s, which is insecure; remove it, or set tls_min: 1.2-insecure for devices that support nothing better", c)
		}
	}
}

func isInsecure(c CipherSuite) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == uint16(c) })
}

// userCertificate checks the name in a user's certificate, and puts it into lower case, in
// which names are compared.
func (v validator) userCertificate(key string, user *User, certificates names) {
	user.Certificate = strings.ToLower(user.Certificate)
	certificates.check(key, user.Certificate, certificateName, "write the DNS name, mail address or common name in the user's certificate, which no other user may have")
	usable := func(l Listener) bool { return l.ClientCAFile != "" }
	if !slices.ContainsFunc(v.cfg.Listeners, usable) {
		v.warn(key, "has no effect, since no listener has a client_ca_file; add one to a listener with TLS")
	}
}

func certificateName(name string) bool {
	return len(name) <= 255 && strings.TrimSpace(name) == name && !strings.ContainsFunc(name, func(r rune) bool { return r != ' ' && unprintable(r) })
}
