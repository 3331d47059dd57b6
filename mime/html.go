package mime

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// htmlCharset returns the charset of HTML: the named one, unless it is unknown or a wrong
// UTF-8; otherwise that of its <meta>.
func htmlCharset(named string, raw []byte) string {
	if canonicalCharset(named) != "" || (named != "" && utf8.Valid(raw) && !hasEscapes(raw)) {
		return named
	}
	if c := metaCharset(raw); c != "" {
		return c
	}
	return named
}

// hasEscapes reports whether ASCII may hide characters of another charset, as ISO-2022 and
// HZ do.
func hasEscapes(raw []byte) bool {
	return bytes.IndexByte(raw, 0x1b) >= 0 || bytes.Contains(raw, []byte("~{"))
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
