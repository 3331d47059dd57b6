package mime

import (
	"bytes"
	"strings"
)

// Header is a header block, read leniently: lines that are no fields are skipped,
// parameters that lost their indentation are joined, and what exceeds the Limits
// is cut. Names are matched without regard to case (RFC 5322 section 2.2).
type Header struct {
	fields  []rawField
	limits  Limits
	cut     bool // a limit was reached
	skipped int  // lines that were no field
}

// rawField is a field as it came: the name as written, the value unfolded.
type rawField struct {
	name  string
	value []byte
	cut   bool // a limit cut the value, between words where there are any
}

// ReadHeader reads the header at the beginning of block, up to the first empty
// line or the end of block. A block that was cut anywhere is read as far as it
// goes. It never fails: what is no header has no fields.
func ReadHeader(block []byte, lim Limits) *Header {
	h, _ := readHeader(newSource(bytes.NewReader(block), int64(len(block))), 0, lim, nil)
	return h
}

// Count returns how many fields are called name.
func (h *Header) Count(name string) int {
	n := 0
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			n++
		}
	}
	return n
}

// Values returns the values of the fields called name, in order: unfolded, with
// encoded words (RFC 2047) decoded, UTF-8, free of control characters.
func (h *Header) Values(name string) []string {
	raw := h.raw(name)
	for i, v := range raw {
		raw[i] = decodeText(v)
	}
	return raw
}

// Value returns the first of Values, or "".
func (h *Header) Value(name string) string {
	if v, ok := h.first(name); ok {
		return decodeText(v)
	}
	return ""
}

// Fields returns all fields in order, decoded as Values does.
func (h *Header) Fields() []Field {
	out := make([]Field, len(h.fields))
	for i, f := range h.fields {
		out[i] = Field{Name: f.name, Value: decodeText(guessText(f.value))}
	}
	return out
}

// From returns the mailboxes of the first From field that has any
// (RFC 5322 section 3.6.2). If none has, entries such as "Name <word>" and
// "root (Cron Daemon)" are returned, which are not Valid.
func (h *Header) From() []Address { return h.authors("From") }

// Sender returns the first mailbox of Sender, read as From does, or nil.
func (h *Header) Sender() *Address {
	if list := h.authors("Sender"); len(list) > 0 {
		return &list[0]
	}
	return nil
}

func (h *Header) authors(name string) []Address {
	for _, v := range h.raw(name) {
		if list := parseAuthors(v); len(list) > 0 {
			return list
		}
	}
	return nil
}

// Addresses returns the mailboxes of all fields called name, groups resolved
// (RFC 5322 section 3.4). Entries that cannot be read are left out.
func (h *Header) Addresses(name string) []Address {
	list, _ := h.addresses(name)
	return list
}

func (h *Header) addresses(name string) (list []Address, bad int) {
	for _, v := range h.raw(name) {
		l, b := parseAddresses(v)
		list, bad = append(list, l...), bad+b
	}
	return list, bad
}

// Subject returns the first Subject, decoded, or "".
func (h *Header) Subject() string { return h.Value("Subject") }

// MessageID returns the Message-ID with its angle brackets, or ""
// (RFC 5322 section 3.6.4).
func (h *Header) MessageID() string {
	for _, v := range h.raw("Message-ID") {
		if ids := scanIDs(v); len(ids) > 0 {
			return ids[0]
		}
	}
	return ""
}

// raw returns the values called name as UTF-8, encoded words untouched.
func (h *Header) raw(name string) []string {
	var out []string
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			out = append(out, guessText(f.value))
		}
	}
	return out
}

func (h *Header) first(name string) (string, bool) {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return guessText(f.value), true
		}
	}
	return "", false
}
