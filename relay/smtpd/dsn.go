package smtpd

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Maximum lengths of RFC 3461 sections 4.4 and 4.2, applied to decoded text.
const (
	maxEnvelopeID        = 100
	maxOriginalRecipient = 500
)

// mailDSN returns what the parameters of MAIL request of notifications. go-smtp has
// checked their syntax, but not their length.
func mailDSN(opts mailOptions) (queue.DSN, error) {
	if len(opts.envelopeID) > maxEnvelopeID || strings.ContainsFunc(opts.envelopeID, unsafeInDSN) {
		return queue.DSN{}, dsnRefusal("The ENVID is too long or holds control characters; use at most 100 printable ones")
	}
	return queue.DSN{Return: opts.ret, EnvelopeID: opts.envelopeID}, nil
}

// rcptDSN returns what the parameters of RCPT request of notifications, and whether they
// request anything. In UTF-8 addresses (RFC 6533 section 3) go-smtp allows control
// characters.
func rcptDSN(opts rcptOptions) (r queue.RecipientDSN, asked bool, err error) {
	r.Notify = opts.notify
	if a := opts.original; a != "" {
		if len(a) > maxOriginalRecipient || !utf8.ValidString(a) || strings.ContainsFunc(a, unsafeInDSN) {
			return r, false, dsnRefusal("The ORCPT is too long or holds characters that are not allowed")
		}
		r.Original = strings.ToLower(opts.originalType) + ";" + a
	}
	return r, r.Original != "" || len(r.Notify) > 0, nil
}

func unsafeInDSN(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) }

func dsnRefusal(text string) *Refusal {
	return &Refusal{501, [3]int{5, 5, 4}, reason.Content, text}
}
