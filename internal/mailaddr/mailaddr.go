// Package mailaddr compares mail addresses: it gives those that mean the same mailbox one
// form. It also reads lists of them.
package mailaddr

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"
)

// Canonical returns an address in the form in which addresses are compared: in lower case,
// and with the domain in ASCII. A domain that is not valid is only put into lower case.
func Canonical(address string) string {
	local, domain := Split(address)
	if local == "" && domain == "" {
		return strings.ToLower(address)
	}
	return local + "@" + domain
}

// Same reports whether two addresses mean the same mailbox.
func Same(a, b string) bool { return a == b || Canonical(a) == Canonical(b) }

// Split returns both sides of an address in the form of Canonical. Both are empty if it has
// no @.
func Split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", ""
	}
	domain, err := Domain(address[at+1:])
	if err != nil {
		domain = strings.ToLower(address[at+1:])
	}
	return strings.ToLower(address[:at]), domain
}

// Domain returns a domain in lower case and ASCII (RFC 5891).
func Domain(domain string) (string, error) {
	if isPlain(domain) {
		domain = strings.ToLower(domain)
		return domain, CheckLengths(domain)
	}
	return convert(domain)
}

// isPlain reports whether a domain has letters, digits, dots and single hyphens within labels
// alone, as nearly all have. There is then nothing to convert but the case. A message costs
// several conversions, and with the tables of Unicode each takes microseconds.
func isPlain(domain string) bool {
	last := byte('.')
	for i := range len(domain) {
		c := domain[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.' && last != '-', c == '-' && last != '.' && last != '-':
		default:
			return false
		}
		last = c
	}
	return last != '-'
}

// convert converts twice, since text that is not UTF-8 passes the first conversion.
func convert(domain string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", err
	}
	if again, err := idna.Lookup.ToASCII(ascii); err != nil || again != ascii {
		return "", errors.New("domain has no ASCII form")
	}
	return ascii, CheckLengths(ascii)
}

// CheckLengths checks the limits of RFC 1035 section 2.3.4.
func CheckLengths(domain string) error {
	if len(domain) > 253 {
		return errors.New("domain is too long")
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("label is empty or too long")
		}
	}
	return nil
}
