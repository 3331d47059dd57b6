package mime

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// htmlCharset returns the charset of HTML: the named one, unless it is unknown or a wrong
// UTF-8; otherwise that of its <meta>. ASCII may hide characters of ISO-2022 and HZ.
func htmlCharset(named string, raw []byte) string {
	escapes := bytes.IndexByte(raw, 0x1b) >= 0 || bytes.Contains(raw, []byte("~{"))
	if canonicalCharset(named) != "" || named != "" && utf8.Valid(raw) && !escapes {
		return named
	}
	c := metaCharset(raw)
	if c == "" || named != "" && utf8.Valid(raw) && !isSevenBit(canonicalCharset(c)) {
		return named
	}
	return c
}

// isSevenBit reports whether a charset switches to other characters than ASCII with escapes.
func isSevenBit(charset string) bool {
	return strings.HasPrefix(charset, "iso-2022-") || charset == "hz-gb-2312"
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
