package smtpd

import (
	"net/netip"
	"slices"
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

// ValidAddress reports whether an address is accepted in MAIL FROM with SMTPUTF8, and so can
// be that of a mailbox. Its local part is not quoted.
func ValidAddress(a string) bool { return checkAddress(a, true) == nil }

// checkAddress checks the syntax on which the rest of the relay relies: one local part, one
// domain, and nothing that could break out of a header field or a log line. go-smtp allows
// control characters, 8-bit bytes and more than one @ (FuzzAddress).
func checkAddress(a string, utf8Allowed bool) *Refusal {
	at := strings.LastIndexByte(a, '@')
	if at <= 0 || at == len(a)-1 {
		return badAddress("The address has no domain; write it as name@domain")
	}
	if r := checkParts(a[:at], a[at+1:], utf8Allowed); r != nil {
		return r
	}
	switch local := a[:at]; {
	case strings.Contains(local, "@"):
		return badAddress("The address has more than one @; write it as name@domain")
	case strings.ContainsFunc(local, needsQuotes):
		return badAddress("The address holds characters that are not allowed")
	}
	return nil
}

// checkQuoted checks a recipient's address whose local part was quoted (RFC 5321 section
// 4.1.2), and returns the address with the quotes that it needs. Microsoft documents no
// limits of such addresses for Graph; those that would have to be escaped are refused.
func checkQuoted(local, domain string, utf8Allowed bool) (address string, r *Refusal) {
	if r := checkParts(local, domain, utf8Allowed); r != nil {
		return "", r
	}
	if strings.ContainsAny(local, `"\<>`) {
		return "", badAddress(`Microsoft 365 cannot send to an address with ", \, < or > in its local part`)
	}
	if strings.ContainsFunc(local, needsQuotes) || strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		local = `"` + local + `"`
	}
	return local + "@" + domain, nil
}

// nowhere are the last labels of domains that no mail is delivered to: those of RFC 6761
// sections 6.3 and 6.4, and that of a machine that was given no domain.
var nowhere = []string{".localhost", ".invalid", ".localdomain"}

// checkDeliverable refuses a recipient whose domain Exchange can never resolve: a name of
// this network alone, such as localhost, or an address literal (RFC 5321 section 4.1.3). It
// would refuse the whole message for it.
func checkDeliverable(a string) *Refusal {
	domain := a[strings.LastIndexByte(a, '@')+1:]
	if strings.HasPrefix(domain, "[") {
		return &Refusal{550, [3]int{5, 1, 2}, reason.Recipient,
			"Microsoft 365 delivers to no IP address; write the domain's name, as in name@example.com"}
	}
	ends := func(suffix string) bool { return strings.HasSuffix(strings.ToLower(domain), suffix) }
	if !strings.Contains(domain, ".") || slices.ContainsFunc(nowhere, ends) {
		return &Refusal{550, [3]int{5, 1, 2}, reason.Recipient,
			"Microsoft 365 cannot deliver to " + domain + "; write the address with its full domain, as in name@example.com"}
	}
	return nil
}

// checkParts checks what holds with and without quotes.
func checkParts(local, domain string, utf8Allowed bool) *Refusal {
	switch {
	case len(local) > maxLocalPart || len(domain) > maxDomain || len(local)+1+len(domain) > maxAddress:
		return badAddress("The address is too long")
	case !utf8.ValidString(local+domain) || strings.ContainsFunc(local+domain, unprintable):
		return badAddress("The address holds characters that are not allowed")
	case !text.IsASCII(local+domain) && !utf8Allowed:
		return &Refusal{553, [3]int{5, 6, 7}, reason.Recipient, "The address is not ASCII; ask for SMTPUTF8 in MAIL FROM"}
	case !validDomain(domain):
		return badAddress("The address's domain is not valid")
	}
	return nil
}

func badAddress(text string) *Refusal {
	return &Refusal{501, [3]int{5, 1, 3}, reason.Recipient, text}
}

// unprintable reports whether an address cannot hold a character, not even in quotes.
func unprintable(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' }

// needsQuotes reports whether a local part with the character has to be quoted (RFC 5321
// section 4.1.2).
func needsQuotes(r rune) bool { return r == ' ' || strings.ContainsRune(`<>()[]\,;:@"`, r) }

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
