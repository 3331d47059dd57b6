package mime

import (
	"html"
	"strings"
	"unicode/utf8"
)

// htmlCharset returns the charset of HTML: the named one, unless it is unknown or a wrong
// UTF-8; otherwise that of its <meta>.
func htmlCharset(named string, raw []byte) string {
	if canonicalCharset(named) != "" || (named != "" && utf8.Valid(raw)) {
		return named
	}
	if c := metaCharset(raw); c != "" {
		return c
	}
	return named
}

// metaCharset returns the charset of <meta charset=x> or <meta content="...; charset=x">, or
// "". HTML requires them within the first 1024 bytes.
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
			if v != "" && !strings.HasPrefix(v, "utf-16") { // which could not be read as ASCII
				return v
			}
		}
		head = after
	}
}

// eachRef calls found with each Content-ID that HTML refers to by a cid: URL (RFC 2392), as
// written and percent-decoded.
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

// refForms returns the Content-IDs that a reference may mean: with HTML entities resolved,
// and also with percent signs decoded.
func refForms(ref string) []string {
	ref, _, _ = strings.Cut(ref, "&quot;")
	plain := html.UnescapeString(ref)
	return []string{plain, cleanLine(string(percentDecode(nil, plain)))}
}

// indexCID returns the index of "cid:" in upper or lower case, or -1.
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

// isRefStart reports whether a URL after this text is an attribute's value or in url().
func isRefStart(before string) bool {
	before = strings.TrimRight(before[max(0, len(before)-8):], " \t\r\n")
	if before == "" {
		return false
	}
	return strings.ContainsRune(`"'(=;`, rune(before[len(before)-1]))
}
