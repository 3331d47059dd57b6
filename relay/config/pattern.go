package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"graphrelay/internal/mailaddr"
)

// Pattern matches mail addresses: scanner@contoso.test, *@contoso.test, *@*.contoso.test, or
// * for all. A star matches any characters on its side of the @. Case does not matter, and
// internationalized domains match in both of their forms.
type Pattern struct{ local, domain string }

// ParsePattern parses a pattern.
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

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePattern(string(text))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String returns the pattern in lower case.
func (p Pattern) String() string {
	if p.all() {
		return "*"
	}
	return p.local + "@" + p.domain
}

// Match reports whether an address matches. The null reverse-path of a bounce is not an
// address and matches no pattern.
func (p Pattern) Match(address string) bool {
	local, domain := mailaddr.Split(address)
	return local != "" && domain != "" && glob(p.local, local) && glob(p.domain, domain)
}

func (p Pattern) all() bool { return p.local == "*" && p.domain == "*" }

// glob reports whether text matches a pattern whose stars match any characters. Taking each
// part at its first occurrence is enough, since the first and the last part are anchored.
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

// canonicalLabels is mailaddr.Domain for a domain whose labels may have stars.
func canonicalLabels(domain string) (string, error) {
	labels := strings.Split(domain, ".")
	for i, label := range labels {
		plain, err := mailaddr.Domain(strings.ReplaceAll(label, "*", "a"))
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
	return joined, mailaddr.CheckLengths(joined)
}

// checkAddress returns an error if text is not one plain mail address.
func checkAddress(text string) error {
	local, domain, _ := strings.Cut(text, "@")
	if local == "" || len(local) > 64 || strings.ContainsFunc(local, unprintable) || strings.ContainsAny(local, `*<>"(),;:\[]`) {
		return errors.New("local part is not valid")
	}
	_, err := mailaddr.Domain(domain)
	return err
}

// unprintable reports whether r is a space or does not print.
func unprintable(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
