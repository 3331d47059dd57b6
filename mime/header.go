package mime

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Header is a header block that was parsed leniently: lines that are not fields are
// skipped, parameters that lost their indentation are joined, and what exceeds the Limits
// is cut. Names are compared without regard to case (RFC 5322 section 2.2).
type Header struct {
	fields  []rawField
	limits  Limits
	cut     bool   // a limit was exceeded
	skipped int    // lines that are not fields
	charset string // of raw 8-bit text; the one of Content-Type if that names one
}

// rawField is a field with its name as written and its value unfolded but not decoded.
type rawField struct {
	name  string
	value string
	plain bool // see isPlain
}

// is reports whether the field has the name. Names are ASCII.
func (f rawField) is(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(f.name, name)
}

// ReadHeader parses the header at the beginning of block, up to the first empty line or the
// end of block, which need not be the end of the header. Like Parse, it passes over empty lines
// before the header. It never fails: what is not a header has no fields.
func ReadHeader(block []byte, lim Limits) *Header {
	src := newSource(bytes.NewReader(block), int64(len(block)))
	h, _ := readHeader(src, skipEmptyLines(src), lim, nil)
	return h
}

// Count returns the number of fields with the name.
func (h *Header) Count(name string) int {
	n := 0
	for _, f := range h.fields {
		if f.is(name) {
			n++
		}
	}
	return n
}

// Values returns the values of the fields with the name, in order. They are UTF-8,
// unfolded, with encoded words (RFC 2047) decoded and control characters removed.
func (h *Header) Values(name string) []string {
	raw := h.raw(name)
	for i, v := range raw {
		raw[i] = decodeText(v)
	}
	return raw
}

// Value returns the first of Values, or "" if there is none.
func (h *Header) Value(name string) string {
	if v, ok := h.first(name); ok {
		return decodeText(v)
	}
	return ""
}

// Fields returns all fields in order, with values as those of Values.
func (h *Header) Fields() []Field {
	out := make([]Field, len(h.fields))
	for i, f := range h.fields {
		out[i] = Field{Name: f.name, Value: decodeText(h.text(f))}
	}
	return out
}

// From returns the mailboxes of the first From field that has any (RFC 5322 section
// 3.6.2). If none has, it returns entries such as "Name <word>" and "root (Cron Daemon)",
// which are not Valid.
func (h *Header) From() []Address { return h.authors("From") }

// Sender returns the first mailbox of Sender, as From does, or nil if there is none.
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

// Addresses returns the mailboxes of all fields with the name, those in groups included
// (RFC 5322 section 3.4). Entries without a valid address are left out.
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

// Subject returns the first Subject, decoded, or "" if there is none.
func (h *Header) Subject() string { return h.Value("Subject") }

// MessageID returns the Message-ID with its angle brackets (RFC 5322 section 3.6.4), or ""
// if there is none.
func (h *Header) MessageID() string {
	for _, v := range h.raw("Message-ID") {
		if ids := scanIDs(v); len(ids) > 0 {
			return ids[0]
		}
	}
	return ""
}

// Undecoded returns all fields in order, with encoded words as they are: a decoded name may look
// like addresses.
func (h *Header) Undecoded() []Field {
	out := make([]Field, len(h.fields))
	for i, f := range h.fields {
		out[i] = Field{Name: f.name, Value: h.text(f)}
	}
	return out
}

// raw returns the values of the fields with the name as UTF-8, with encoded words not yet
// decoded.
func (h *Header) raw(name string) []string {
	var out []string
	for _, f := range h.fields {
		if f.is(name) {
			out = append(out, h.text(f))
		}
	}
	return out
}

// first returns the first of raw, and reports whether there is one.
func (h *Header) first(name string) (string, bool) {
	for _, f := range h.fields {
		if f.is(name) {
			return h.text(f), true
		}
	}
	return "", false
}

// text converts a raw value to UTF-8. Raw 8-bit text is against RFC 5322 section 2.2, unless
// it is UTF-8 (RFC 6532). What is not UTF-8 is mostly in the charset of the text below.
func (h *Header) text(f rawField) string {
	if f.plain {
		return f.value
	}
	return headerText(h.charset, []byte(f.value))
}

// isPlain reports whether v is ASCII without what may be an escape of ISO-2022 or HZ.
func isPlain(v string) bool {
	for i := range len(v) {
		if c := v[i]; c >= utf8.RuneSelf || c == 0x1b || c == '~' {
			return false
		}
	}
	return true
}

// findCharset sets the charset to the one that Content-Type names, if a field needs it.
func (h *Header) findCharset() {
	if !slices.ContainsFunc(h.fields, func(f rawField) bool { return !f.plain }) {
		return
	}
	for _, f := range h.fields {
		if f.is("Content-Type") {
			h.charset = keep(headerCharset(parseParams(decodeStructure(guessText([]byte(f.value)))).get("charset")), maxTypeBytes)
			return
		}
	}
}

// hasRaw reports whether a field with the name has text that is not UTF-8.
func (h *Header) hasRaw(name string) bool {
	for _, f := range h.fields {
		if f.is(name) && !f.plain && !utf8.ValidString(f.value) {
			return true
		}
	}
	return false
}
