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

	"software.sslmate.com/src/go-pkcs12"

	"graphrelay/internal/private"
	"graphrelay/relay/credential"
)

// CredentialNotice is how long before a client secret or certificate expires a warning is
// given.
const CredentialNotice = 30 * 24 * time.Hour

func (c *Connection) certificatePassword() secretSource {
	return secretSource{name: "certificate_password", value: &c.CertificatePassword, file: c.CertificatePasswordFile, env: c.CertificatePasswordEnv}
}

func (v validator) certificate(key string, c *Connection) {
	if v.has(key + ".certificate_directory") {
		v.certificateDirectory(key, c)
		return
	}
	if v.has(key + ".certificate_renewal") {
		v.fault(key+".certificate_renewal", "needs certificate_directory, since the relay renews only certificates that it made; remove the key")
	}
	if v.has(key + ".certificate_store") {
		v.certificateStore(key, &c.CertificateStore, certificateFiles...)
		return
	}
	if c.CertificateFile == "" {
		v.fault(key+".certificate_file", "is missing; name a PEM or PFX file with the certificate that is registered for the application, and its key")
	}
	if v.has(key+".certificate_key_file") && c.CertificateKeyFile == "" {
		v.fault(key+".certificate_key_file", "is empty; name a PEM file with the certificate's key, or remove this setting")
	}
	v.optionalSecret(key, c.certificatePassword())
}

// readClientCertificate reads the application's certificate. It returns nil if it reported a
// fault. Entra accepts only RSA keys.
func readClientCertificate(key string, c *Connection, r *report) *tls.Certificate {
	at := key + ".certificate_file"
	data := readPEM(at, c.CertificateFile, r)
	if data == nil {
		return nil
	}
	var cert *tls.Certificate
	var err error
	if isPEM(data) {
		if c.CertificatePassword.Reveal() != "" {
			r.fault(at, "names a PEM file, to which certificate_password does not apply; name a PFX file, or remove the password")
			return nil
		}
		keyData := data
		if c.CertificateKeyFile != "" {
			at = key + ".certificate_key_file"
			if keyData = readPEM(at, c.CertificateKeyFile, r); keyData == nil {
				return nil
			}
			warnReadable(at, c.CertificateKeyFile, r)
		} else {
			warnReadable(at, c.CertificateFile, r)
		}
		cert, err = fromPEM(data, keyData)
	} else {
		if c.CertificateKeyFile != "" {
			r.fault(key+".certificate_key_file", "is given, but certificate_file does not name a PEM file, and a PFX file contains the key itself; remove this setting")
			return nil
		}
		warnReadable(at, c.CertificateFile, r)
		cert, err = fromPFX(data, c.CertificatePassword.Reveal())
	}
	if err == nil {
		err = usable(cert.Leaf)
	}
	if err != nil {
		r.fault(at, "%s", err)
		return nil
	}
	warnNotYetValid(at, cert.Leaf, r)
	return cert
}

func warnNotYetValid(key string, leaf *x509.Certificate, r *report) {
	if time.Now().Before(leaf.NotBefore) {
		r.warn(key, "names a certificate that is not valid before %s; check the clock", leaf.NotBefore.UTC().Format(time.DateOnly))
	}
}

func isPEM(data []byte) bool {
	block, _ := pem.Decode(data)
	return block != nil
}

func fromPEM(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	for rest := keyPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("names an encrypted key; decrypt it with: openssl pkey -in FILE -out NEW, or use a PFX file with certificate_password")
		}
	}
	cert, err := keyPair(certPEM, keyPEM)
	if err != nil {
		problem := strings.TrimPrefix(err.Error(), "tls: ")
		return nil, fmt.Errorf("names a file that cannot be used (%s); put the application's certificate first, and its key into the same file or into certificate_key_file", problem)
	}
	return &cert, nil
}

func fromPFX(data []byte, password string) (*tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, errors.New("names a PFX file that certificate_password does not open; write the password of the file")
	case err != nil:
		return nil, fmt.Errorf("names a file that is neither PEM nor a PFX file with a certificate and its key (%s); export it again", strings.TrimPrefix(err.Error(), "pkcs12: "))
	}
	signer, ok := key.(*rsa.PrivateKey)
	if ok && !signer.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("names a PFX file whose key does not belong to its certificate; export it again")
	}
	cert := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, authority := range chain {
		cert.Certificate = append(cert.Certificate, authority.Raw)
	}
	return cert, nil
}

// usable returns an error if Entra would not accept the key. An expired certificate is only
// warned of, so that mail is accepted and queued.
func usable(leaf *x509.Certificate) error {
	const remedy = "create one with: openssl req -x509 -newkey rsa:3072, and register it for the application"
	public, ok := leaf.PublicKey.(*rsa.PublicKey)
	switch {
	case !ok:
		return fmt.Errorf("names a certificate with an %s key, but Entra accepts only RSA keys; %s", leaf.PublicKeyAlgorithm, remedy)
	case public.N.BitLen() < 2048:
		return fmt.Errorf("names a certificate with an RSA key of %d bits, but at least 2048 are needed; %s", public.N.BitLen(), remedy)
	}
	return nil
}

// Credential describes the credential of the connection that expires: what it is called, the
// configuration key to change, and its end, which is zero if there is none or it is unknown.
func (c *Connection) Credential() (what, key string, end time.Time) {
	if c.Managed != nil {
		return "certificate", "certificate_directory", c.Managed.Expires(time.Now())
	}
	if c.Certificate != nil {
		return "certificate", c.certificateKey(), c.Certificate.Leaf.NotAfter
	}
	return "client secret", "client_secret", time.Time(c.ClientSecretExpires)
}

// ExpiryNotice returns what to do about a credential that has expired or expires soon, or
// "" for another.
func (c *Connection) ExpiryNotice(now time.Time) string {
	what, key, end := c.Credential()
	if c.Managed != nil && c.CertificateRenewal {
		return c.renewalNotice(now, end)
	}
	if end.IsZero() || now.Add(CredentialNotice).Before(end) {
		return ""
	}
	remedy := fmt.Sprintf("create a new one in the Entra admin center, put it into %s and reload", key)
	if c.Managed != nil {
		remedy = "set certificate_renewal to true and reload while it is still valid, or have an administrator upload a new one (docs/sign-in.md)"
	}
	if c.Certificate != nil {
		remedy = fmt.Sprintf("register a new one in the Entra admin center, put it into %s and reload", key)
	}
	if c.CertificateStore.given() {
		remedy = "register a new one in the Entra admin center, import it into the store, and reload"
	}
	date := end.UTC().Format(time.DateOnly)
	if !now.Before(end) {
		return fmt.Sprintf("the %s of connection %s expired on %s; %s", what, c.Name, date, remedy)
	}
	return fmt.Sprintf("the %s of connection %s expires on %s, in %d days; %s", what, c.Name, date, int(end.Sub(now)/(24*time.Hour)), remedy)
}

func warnExpiry(key string, c *Connection, now time.Time, r *report) {
	if notice := c.ExpiryNotice(now); notice != "" {
		name := "client_secret_expires"
		if c.Managed != nil {
			name = "certificate_directory"
		}
		if c.Certificate != nil {
			name = c.certificateKey()
		}
		r.warn(key+"."+name, "%s", notice)
	}
}

// certificateDirectory checks a connection whose certificates the relay has made.
func (v validator) certificateDirectory(key string, c *Connection) {
	if c.CertificateDirectory == "" {
		v.fault(key+".certificate_directory", "is empty; name the folder that graphrelay setup has made, or remove this setting")
	}
	for _, own := range append([]string{"certificate_store", "certificate_chain"}, certificateFiles...) {
		if v.has(key + "." + own) {
			v.fault(key+"."+own, "is given together with certificate_directory, which has certificates of the relay's own; keep one of the two")
		}
	}
	for i := range v.cfg.Connections {
		other := &v.cfg.Connections[i]
		if other == c {
			break
		}
		if other.CertificateDirectory == c.CertificateDirectory && c.CertificateDirectory != "" && !strings.EqualFold(other.ClientID, c.ClientID) {
			v.fault(key+".certificate_directory", "is that of connections[%d], which has another client_id; name a folder of its own for each application", i)
		}
	}
}

// openManaged opens the folder with the certificates that the relay has made. It returns nil if
// it reported a fault.
func openManaged(key string, c *Connection, r *report) *credential.Store {
	at := key + ".certificate_directory"
	s, err := credential.Open(c.CertificateDirectory)
	if err != nil {
		r.fault(at, "%s", err)
		return nil
	}
	if private.OthersMayEnter(c.CertificateDirectory) {
		r.warn(at, "names a folder into which other users of this machine may look; make it accessible to the user of the relay alone: %s", private.FolderRemedy)
	}
	return s
}

// renewalNotice returns what is wrong with certificates that the relay renews itself, or "".
func (c *Connection) renewalNotice(now, end time.Time) string {
	problem := c.Managed.Problem(now)
	if problem == "" {
		return ""
	}
	date := end.UTC().Format(time.DateOnly)
	if !now.Before(end) {
		return fmt.Sprintf("the certificate of connection %s expired on %s, and the relay could not renew it: %s", c.Name, date, problem)
	}
	return fmt.Sprintf("the relay cannot renew the certificate of connection %s, which expires on %s: %s", c.Name, date, problem)
}
