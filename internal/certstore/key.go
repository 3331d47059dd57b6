package certstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os/user"
	"strings"
)

// errDenied is the error for a key that is not there, or that this user may not use. Windows does not always say
// which.
var errDenied = errors.New("it is not there, or access is denied")

// keyError is the error for a certificate whose key does not sign.
func keyError(e entry, err error) error {
	if !errors.Is(err, errDenied) {
		return fmt.Errorf("finds %s in %s, whose key cannot be used: %w", e, Name, err)
	}
	name := "of the relay"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return fmt.Errorf("finds %s in %s, but the user %s cannot use its private key (%w); give that user the right to read the key (docs/windows.md)", e, Name, name, err)
}

func thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// withoutPSS are the signatures of an RSA key that cannot sign with RSA-PSS, which TLS 1.3 needs (RFC 8446
// section 4.2.3).
var withoutPSS = []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512, tls.PKCS1WithSHA1}

// SignsPSS reports whether the key of a certificate, which Load returned, can sign with RSA-PSS if it is an RSA key.
func SignsPSS(c *tls.Certificate) bool { return len(c.SupportedSignatureAlgorithms) == 0 }

// try signs with the key of a certificate, since whether a user may use a key, and what it can sign, shows only then.
// The providers of keys before CNG, and some TPMs, do not sign with RSA-PSS.
func try(c *tls.Certificate) error {
	key, digest := c.PrivateKey.(crypto.Signer), sha256.Sum256(c.Leaf.Raw)
	switch public := c.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err == nil && !ecdsa.VerifyASN1(public, digest[:], signature) {
			err = errOther
		}
		return err
	case *rsa.PublicKey:
		pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		if signature, err := key.Sign(rand.Reader, digest[:], pss); err == nil && rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, pss) == nil {
			return nil
		}
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err == nil && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) != nil {
			err = errOther
		}
		c.SupportedSignatureAlgorithms = withoutPSS
		return err
	}
	return fmt.Errorf("it is an %s key; take RSA or ECDSA", c.Leaf.PublicKeyAlgorithm)
}

// errOther is the error for a key that signs, but not for the certificate.
var errOther = errors.New("it is not the key of the certificate; import the certificate with its key again")
