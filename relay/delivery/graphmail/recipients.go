package graphmail

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"graphrelay/graph"
	"graphrelay/relay/delivery"
)

// refusedRecipient is a recipient whose address Graph has refused by name.
type refusedRecipient struct {
	Address string `json:"address"`         // as in the envelope
	Why     string `json:"why"`             // Graph's answer
	Draft   string `json:"draft,omitempty"` // whose send was refused for it; empty: a create, or a send without a draft
}

// maxRefused bounds the recipients of a message that are refused one after the other, each
// at the cost of a draft.
const maxRefused = 50

// excludeNamed excludes the recipients that a refusal names, so that the others get the
// message. It reports whether that helps: if none is named, or all are, it does nothing.
func (t *transfer) excludeNamed(refused error) bool {
	var e *graph.Error
	if !graph.RecipientRefused(refused) || !errors.As(refused, &e) {
		return false
	}
	left := t.mailbox.message.Envelope.To
	named := slices.DeleteFunc(slices.Clone(left), func(a string) bool { return !names(e.Message, a) })
	if len(named) == 0 || len(named) == len(left) || len(t.p.Refused)+len(named) > maxRefused {
		return false
	}
	list := slices.Clone(t.p.Refused)
	for _, a := range named {
		list = append(list, refusedRecipient{a, diagnostic(e), t.p.DraftID})
	}
	t.exclude(list)
	return true
}

// exclude makes the recipients in list the ones that do not get the message.
func (t *transfer) exclude(list []refusedRecipient) {
	t.p.Refused = list
	t.mailbox.message.Envelope.To = remaining(t.o.cfg.recipients(t.Message.Envelope.To), list)
	t.plan = nil
}

// remaining returns the recipients that are not refused.
func remaining(to []string, refused []refusedRecipient) []string {
	if len(refused) == 0 {
		return to
	}
	return slices.DeleteFunc(slices.Clone(to), func(a string) bool {
		return slices.ContainsFunc(refused, func(r refusedRecipient) bool { return r.Address == a })
	})
}

// loseRecipients reports the recipients that do not get the message, once it is sent. It
// returns them.
func (t *transfer) loseRecipients() (list []delivery.RefusedRecipient) {
	for _, r := range t.p.Refused {
		t.lose(LossRecipient, r.Address+" does not get the message: "+r.Why)
		list = append(list, delivery.RefusedRecipient{Address: r.Address, Diagnostic: r.Why})
	}
	return list
}

// names reports whether text contains the address, whatever its case, and not only as a
// part of a longer one. An address right before the "..." of a text that was cut may be one.
func names(text, address string) bool {
	text, address = strings.ToLower(text), strings.ToLower(address)
	for from := 0; ; {
		i := strings.Index(text[from:], address)
		if i < 0 {
			return false
		}
		start := from + i
		if endsBefore(text[:start]) && beginsAfter(text[start+len(address):]) {
			return true
		}
		from = start + 1
	}
}

// endsBefore reports whether no address continues from the end of text into what follows. A
// quote is part of one only behind another character of it, as in o'brien@example.org.
func endsBefore(text string) bool {
	text, quoted := strings.CutSuffix(text, "'")
	r, _ := utf8.DecodeLastRuneInString(text)
	return text == "" || !inAddress(r) && (quoted || r != '\'')
}

// beginsAfter reports whether no address continues at the beginning of text. A dot that ends
// a sentence is not part of one.
func beginsAfter(text string) bool {
	if rest, dot := strings.CutPrefix(text, "."); dot {
		text = rest
		if strings.HasPrefix(text, ".") {
			return false
		}
	}
	r, _ := utf8.DecodeRuneInString(text)
	return text == "" || r != '@' && !inAddress(r)
}

// inAddress reports whether a character can be part of an address (RFC 5322 atext, RFC 6532).
func inAddress(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r >= utf8.RuneSelf || strings.ContainsRune("!#$%&*+-/=?^_`{|}~.@", r)
}
