package mime

import (
	"html"
	"strings"
	"unicode/utf8"
)

// htmlCharset returns the charset of HTML: the named one, else the one of its
// <meta>, which also stands in for UTF-8 that is none.
func htmlCharset(named string, raw []byte) string {
	if canonicalCharset(named) != "" || (named != "" && utf8.Valid(raw)) {
		return named
	}
	if c := metaCharset(raw); c != "" {
		return c
	}
	return named
}

// metaCharset looks for <meta charset=x> and <meta ... content="...; charset=x">
// in the beginning, where HTML wants it.
func metaCharset(raw []byte) string {
	head := strings.ToLower(string(raw[:min(len(raw), 4096)]))
	for {
		_, rest, ok := strings.Cut(head, "<meta")
		if !ok {
			return ""
		}
		tag, after, _ := strings.Cut(rest, ">")
		if _, v, ok := strings.Cut(tag, "charset="); ok {
			v = strings.TrimLeft(v, " \"'")
			if i := strings.IndexAny(v, " \"';/>"); i >= 0 {
				v = v[:i]
			}
			if v != "" && !strings.HasPrefix(v, "utf-16") { // ASCII could be read
				return v
			}
		}
		head = after
	}
}

// eachRef calls found with the Content-IDs that HTML refers to by cid: (RFC 2392):
// the scheme in any case, the id percent-decoded and as it stands.
func eachRef(s string, found func(id string)) {
	for {
		i := indexCID(s)
		if i < 0 {
			return
		}
		quoted := i > 0 && isRefStart(s[:i])
		s = s[i+4:]
		if !quoted {
			continue
		}
		end := strings.IndexAny(s[:min(len(s), 2*maxIDBytes)], "\"' \t\r\n)<>")
		if end < 0 {
			end = min(len(s), 2*maxIDBytes)
		}
		for _, id := range refForms(s[:end]) {
			found(id)
		}
	}
}

// refForms returns what a reference may mean: entities and percent signs resolved.
func refForms(ref string) []string {
	ref, _, _ = strings.Cut(ref, "&quot;")
	plain := html.UnescapeString(ref)
	return []string{plain, cleanLine(string(percentDecode(nil, plain)))}
}

// indexCID returns the index of "cid:" in any case, or -1.
func indexCID(s string) int {
	for i := 0; ; {
		j := strings.IndexByte(s[i:], ':')
		if j < 0 {
			return -1
		}
		i += j
		if i >= 3 && strings.EqualFold(s[i-3:i], "cid") {
			return i - 3
		}
		i++
	}
}

// isRefStart tells whether before, which stands in front of a URL, opens a
// reference: an attribute value or url(.
func isRefStart(before string) bool {
	before = strings.TrimRight(before[max(0, len(before)-8):], " \t\r\n")
	if before == "" {
		return false
	}
	return strings.ContainsRune(`"'(=;`, rune(before[len(before)-1]))
}
