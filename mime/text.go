package mime

import (
	"strings"
	"unicode"

	"graphrelay/internal/text"
)

// decodeText returns an unstructured value with its encoded words decoded, on one line.
func decodeText(v string) string { return cleanLine(decodeWords(v)) }

// cleanLine returns s on one line: line breaks and tabs become spaces, other control
// characters and the blanks at its ends are removed, and invalid UTF-8 is replaced.
func cleanLine(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\r\n", " ")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// cleanBody returns s as valid UTF-8 without a byte order mark and without control
// characters other than tab, CR and LF. Line breaks with a second CR become CRLF.
func cleanBody(s string) string {
	s = strings.TrimPrefix(strings.ToValidUTF8(s, "\ufffd"), "\ufeff")
	s = strings.ReplaceAll(s, "\r\r\n", "\r\n")
	if strings.IndexFunc(s, isBodyControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isBodyControl(r) {
			return -1
		}
		return r
	}, s)
}

func isBodyControl(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f
}

// keep returns a copy of s, truncated to n bytes, so that the field it is from can be freed.
func keep(s string, n int) string { return strings.Clone(text.Truncate(s, n)) }
