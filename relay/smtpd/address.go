package smtpd

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"graphrelay/internal/text"
	"graphrelay/relay/reason"
)

// Lengths of RFC 5321 section 4.5.3.1, in bytes.
const (
	maxLocalPart = 64
	maxDomain    = 255
	maxAddress   = 254
)

// ValidAddress reports whether an address is accepted in MAIL FROM and RCPT TO with
// SMTPUTF8.
func ValidAddress(a string) bool { return checkAddress(a, true) == nil }

// checkAddress checks the syntax on which the rest of the relay relies: one local part, one
// domain, and nothing that could break out of a header field or a log line. go-smtp allows
// control characters and 8-bit bytes (FuzzAddress).
func checkAddress(a string, utf8Allowed bool) *Refusal {
	syntax := func(text string) *Refusal {
		return &Refusal{501, [3]int{5, 1, 3}, reason.Recipient, text}
	}
	at := strings.LastIndexByte(a, '@')
	if at <= 0 || at == len(a)-1 {
		return syntax("The address has no domain; write it as name@domain")
	}
	local, domain := a[:at], a[at+1:]
	if len(local) > maxLocalPart || len(domain) > maxDomain || len(a) > maxAddress {
		return syntax("The address is too long")
	}
	if !utf8.ValidString(a) || strings.ContainsFunc(a, unsafeInAddress) {
		return syntax("The address holds characters that are not allowed")
	}
	if !text.IsASCII(a) && !utf8Allowed {
		return &Refusal{553, [3]int{5, 6, 7}, reason.Recipient, "The address is not ASCII; ask for SMTPUTF8 in MAIL FROM"}
	}
	if !validDomain(domain) {
		return syntax("The address's domain is not valid")
	}
	return nil
}

// unsafeInAddress reports whether a character is not allowed in addresses. Unlike RFC 5321
// it allows no quoted local parts, which Graph does not accept and which are not in use.
func unsafeInAddress(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>()\,;"`, r)
}

func validDomain(d string) bool {
	if strings.HasPrefix(d, "[") {
		inner, ok := strings.CutSuffix(d[1:], "]")
		if ip6, found := strings.CutPrefix(inner, "IPv6:"); found {
			inner = ip6
		}
		_, err := netip.ParseAddr(inner)
		return ok && err == nil
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return true
}

func notInLabel(r rune) bool {
	return r < utf8.RuneSelf && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
