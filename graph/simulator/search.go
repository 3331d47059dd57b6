package simulator

import (
	"slices"
	"strings"
)

// searchedText is how many bytes of a message's text a search reads.
const searchedText = 64 << 10

// search is a query of the page: words and "phrases", all of which a message has to have, in its
// addresses, its subject, the names of its files, or its text. A word may be limited to a field,
// such as from:anna or subject:"year end", and "-" before it excludes.
type search []searchTerm

type searchTerm struct {
	field string // "" is any
	text  string // lower case
	not   bool
}

// searchFields are the fields that a query may name.
var searchFields = []string{"from", "to", "cc", "bcc", "subject", "message-id", "file", "has"}

// parseSearch parses a query. Nothing is wrong: what is no field is text.
func parseSearch(query string) (terms search) {
	for rest := strings.TrimSpace(strings.ToLower(query)); rest != ""; rest = strings.TrimSpace(rest) {
		var t searchTerm
		if rest[0] == '-' && len(rest) > 1 {
			t.not, rest = true, rest[1:]
		}
		if field, after, ok := strings.Cut(rest, ":"); ok && slices.Contains(searchFields, field) {
			t.field, rest = field, after
		}
		if strings.HasPrefix(rest, `"`) {
			t.text, rest, _ = strings.Cut(rest[1:], `"`)
		} else {
			t.text, rest, _ = strings.Cut(rest, " ")
		}
		if t.text != "" {
			terms = append(terms, t)
		}
	}
	return terms
}

// finds reports whether the message has all terms.
func (q search) finds(m *Message) bool {
	for _, t := range q {
		if t.found(m) == t.not {
			return false
		}
	}
	return true
}

func (t searchTerm) found(m *Message) bool {
	in := func(s string) bool { return strings.Contains(strings.ToLower(s), t.text) }
	among := func(list []Address) bool {
		return slices.ContainsFunc(list, func(a Address) bool { return in(a.Address) || in(a.Name) })
	}
	from := func() bool { return m.From != nil && among([]Address{*m.From}) }
	file := func() bool {
		return slices.ContainsFunc(m.Attachments, func(a Attachment) bool { return in(a.Name) })
	}
	switch t.field {
	case "from":
		return from()
	case "to":
		return among(m.To)
	case "cc":
		return among(m.Cc)
	case "bcc":
		return among(m.Bcc)
	case "subject":
		return in(m.Subject)
	case "message-id":
		return in(m.InternetMessageID)
	case "file":
		return file()
	case "has":
		return strings.HasPrefix("attachments", t.text) && len(m.Attachments) > 0
	}
	return from() || among(m.To) || among(m.Cc) || among(m.Bcc) || in(m.Subject) || in(m.InternetMessageID) || file() ||
		in(m.Body.Content[:min(len(m.Body.Content), searchedText)])
}
