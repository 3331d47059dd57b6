// Package certstore finds certificates in the certificate store of a Windows machine, LocalMachine\My, and signs
// with their keys. The keys never leave the store. Other systems have no such store.
package certstore

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Name is the name of the store, as PowerShell has it after Cert:\.
const Name = `LocalMachine\My`

// Query says which certificate is wanted: either by Thumbprint or by Subject.
type Query struct {
	Thumbprint string // as ParseThumbprint returns it
	Subject    string // see Query.matches
}

// String describes the query.
func (q Query) String() string {
	if q.Thumbprint != "" {
		return "thumbprint " + q.Thumbprint
	}
	return "subject " + q.Subject
}

// ParseThumbprint returns a thumbprint in upper case and without separators. The window with the details of a
// certificate separates the bytes by spaces and begins with an invisible U+200E, which gets copied with the rest.
func ParseThumbprint(text string) (string, error) {
	print := strings.ToUpper(strings.NewReplacer(" ", "", ":", "", "\u200e", "", "\u00a0", "").Replace(text))
	if sum, err := hex.DecodeString(print); err != nil || len(sum) != 20 {
		return "", errors.New("is not a thumbprint; write its 40 hexadecimal digits, as PowerShell lists them: Get-ChildItem Cert:\\" + Name)
	}
	return print, nil
}

// entry is a certificate in the store.
type entry struct {
	*x509.Certificate
	subject string // as Windows writes it
	hasKey  bool
}

func (e entry) validAt(now time.Time) bool {
	return !now.Before(e.NotBefore) && now.Before(e.NotAfter)
}

// String describes the certificate to people who look for it in the store.
func (e entry) String() string {
	text := fmt.Sprintf("%s (thumbprint %s, valid until %s", cmp.Or(e.subject, "one without a subject"), thumbprint(e.Certificate), e.NotAfter.UTC().Format(time.DateOnly))
	if !e.hasKey {
		text += ", without a private key"
	}
	return text + ")"
}

// matches reports whether the certificate is wanted. A subject is the whole one as Windows writes it, the common
// name, or one of the DNS names, since authorities issue certificates whose only name is such.
func (q Query) matches(e entry) bool {
	if q.Thumbprint != "" {
		return thumbprint(e.Certificate) == q.Thumbprint
	}
	want := folded(q.Subject)
	return slices.ContainsFunc(append([]string{e.subject, e.Subject.CommonName}, e.DNSNames...), func(name string) bool { return folded(name) == want })
}

// folded returns a subject without the differences that do not count: case, and spaces beside commas.
func folded(subject string) string {
	parts := strings.Split(subject, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.ToLower(strings.Join(parts, ","))
}

// choose returns the certificate that is wanted: of several, the one that is valid and ends last. One that is not
// valid is better than none, as it is with files.
func choose(all []entry, q Query, now time.Time) (entry, error) {
	found := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return !q.matches(e) })
	if len(found) == 0 {
		return entry{}, fmt.Errorf(`finds no certificate with the %s in %s, which has %s; import it there, or correct what it is looked for by`, q, Name, list(all))
	}
	usable := slices.DeleteFunc(slices.Clone(found), func(e entry) bool { return !e.hasKey })
	if len(usable) == 0 {
		return entry{}, fmt.Errorf("finds only %s in %s; import the certificate with its key, as from a PFX file", list(found), Name)
	}
	return slices.MaxFunc(usable, func(a, b entry) int {
		if valid := a.validAt(now); valid != b.validAt(now) {
			if valid {
				return 1
			}
			return -1
		}
		return a.NotAfter.Compare(b.NotAfter)
	}), nil
}

// maxListed is the most certificates that an error lists.
const maxListed = 10

func list(all []entry) string {
	if len(all) == 0 {
		return "no certificates"
	}
	var texts []string
	for _, e := range all[:min(len(all), maxListed)] {
		texts = append(texts, e.String())
	}
	if more := len(all) - maxListed; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(texts, ", ")
}

// maxChain bounds a chain.
const maxChain = 10

// chain returns a certificate and those of its issuers that the store has, but no root, which clients have to have
// already.
func chain(leaf *x509.Certificate, issuers []*x509.Certificate, now time.Time) [][]byte {
	der := [][]byte{leaf.Raw}
	for last := leaf; len(der) < maxChain && !selfIssued(last); {
		var next *x509.Certificate
		for _, c := range issuers {
			fits := now.Before(c.NotAfter) && !selfIssued(c) && string(c.RawSubject) == string(last.RawIssuer) && last.CheckSignatureFrom(c) == nil
			if fits && (next == nil || next.NotAfter.Before(c.NotAfter)) {
				next = c
			}
		}
		if next == nil {
			break
		}
		der, last = append(der, next.Raw), next
	}
	return der
}

func selfIssued(c *x509.Certificate) bool { return string(c.RawSubject) == string(c.RawIssuer) }

// store is a certificate store.
type store interface {
	// read returns the certificates in the store, and those of authorities.
	read() (all []entry, issuers []*x509.Certificate, err error)
	// key returns what signs with the key of a certificate, without asking anybody anything.
	key(*x509.Certificate) (crypto.Signer, error)
}

// Load returns the certificate that is wanted, with the intermediate certificates that the store has, and with a key
// that signs. It returns current if that is the one, so that the key is not opened each time.
func Load(q Query, current *tls.Certificate) (*tls.Certificate, error) {
	return load(machine{}, q, current, time.Now())
}

func load(s store, q Query, current *tls.Certificate, now time.Time) (*tls.Certificate, error) {
	all, issuers, err := s.read()
	if err != nil {
		return nil, err
	}
	chosen, err := choose(all, q, now)
	if err != nil {
		return nil, err
	}
	der := chain(chosen.Certificate, issuers, now)
	if current != nil && slices.EqualFunc(der, current.Certificate, slices.Equal) {
		return current, nil
	}
	key, err := s.key(chosen.Certificate)
	if err != nil {
		return nil, keyError(chosen, err)
	}
	c := &tls.Certificate{Certificate: der, Leaf: chosen.Certificate, PrivateKey: key}
	if err := try(c); err != nil {
		return nil, keyError(chosen, err)
	}
	return c, nil
}
