package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// Pattern matches mail addresses: scanner@contoso.test, *@contoso.test,
// *@*.contoso.test, or * for all. A star stands for any run of characters on
// its side of the @. Case does not matter, and an internationalized domain
// matches in either of its forms.
type Pattern struct{ local, domain string }

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	if text == "*" {
		return Pattern{local: "*", domain: "*"}, nil
	}
	at := strings.LastIndexByte(text, '@')
	if at < 1 || strings.ContainsFunc(text, unprintable) {
		return Pattern{}, fmt.Errorf("is %s, which matches no address; write an address, *@contoso.test or *", quote(text))
	}
	domain, err := canonicalLabels(text[at+1:])
	if err != nil {
		return Pattern{}, fmt.Errorf("is %s, whose domain is not valid; write an address, *@contoso.test or *", quote(text))
	}
	return Pattern{local: strings.ToLower(text[:at]), domain: domain}, nil
}

// UnmarshalText reads a pattern.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePattern(string(text))
	return err
}

// MarshalText writes the form that UnmarshalText reads.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String returns the pattern in lower case.
func (p Pattern) String() string {
	if p.all() {
		return "*"
	}
	return p.local + "@" + p.domain
}

// Match says whether an address matches. The empty reverse-path of a bounce is
// no address and matches nothing.
func (p Pattern) Match(address string) bool {
	local, domain := splitAddress(address)
	return local != "" && domain != "" && glob(p.local, local) && glob(p.domain, domain)
}

func (p Pattern) all() bool { return p.local == "*" && p.domain == "*" }

// glob matches text against a pattern whose stars stand for any run of
// characters. It takes each part at its first place, which is enough when the
// first and the last part are anchored.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == text
	}
	text, found := strings.CutPrefix(text, parts[0])
	if !found {
		return false
	}
	for _, part := range parts[1:last] {
		if _, text, found = strings.Cut(text, part); !found {
			return false
		}
	}
	return strings.HasSuffix(text, parts[last])
}

// splitAddress returns both sides of an address in the form that is compared.
// A domain that is not valid stays as it is, in lower case.
func splitAddress(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", ""
	}
	domain, err := canonicalDomain(address[at+1:])
	if err != nil {
		domain = strings.ToLower(address[at+1:])
	}
	return strings.ToLower(address[:at]), domain
}

// canonicalDomain returns a domain in lower case and ASCII (RFC 5891). What is
// not UTF-8 would pass the first conversion, but not a second one.
func canonicalDomain(domain string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", err
	}
	if again, err := idna.Lookup.ToASCII(ascii); err != nil || again != ascii {
		return "", errors.New("domain has no ASCII form")
	}
	return ascii, checkLengths(ascii)
}

// checkLengths applies the limits of RFC 1035, section 2.3.4.
func checkLengths(domain string) error {
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

// canonicalLabels is canonicalDomain for a domain in which labels may have
// stars.
func canonicalLabels(domain string) (string, error) {
	labels := strings.Split(domain, ".")
	for i, label := range labels {
		plain, err := canonicalDomain(strings.ReplaceAll(label, "*", "a"))
		if err != nil {
			return "", err
		}
		if strings.Contains(label, "*") {
			if strings.ContainsFunc(label, func(r rune) bool { return r > unicode.MaxASCII }) {
				return "", errors.New("star in an internationalized label")
			}
			plain = strings.ToLower(label)
		}
		labels[i] = plain
	}
	joined := strings.Join(labels, ".")
	return joined, checkLengths(joined)
}

// checkAddress says whether a text is one plain mail address.
func checkAddress(text string) error {
	local, domain, _ := strings.Cut(text, "@")
	if local == "" || len(local) > 64 || strings.ContainsFunc(local, unprintable) || strings.ContainsAny(local, `*<>"(),;:\[]`) {
		return errors.New("local part is not valid")
	}
	_, err := canonicalDomain(domain)
	return err
}

func unprintable(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
