package mime

import (
	"strings"
	"unicode"

	"graphrelay/internal/text"
)

// decodeText decodes the encoded words of an unstructured value and cleans it.
func decodeText(v string) string { return cleanLine(decodeWords(v)) }

// cleanLine makes text one line: a line break or tab becomes one space, other
// control characters go, blanks at the ends go, bad UTF-8 is replaced.
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

// cleanBody removes the control characters that neither JSON readers nor mail
// clients want (C0 except tab, CR and LF), a byte order mark, and line ends with one
// CR too many.
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

// keep returns a copy of s, cut to n bytes, that does not hold on to a whole field.
func keep(s string, n int) string { return strings.Clone(text.Truncate(s, n)) }
