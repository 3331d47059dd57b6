package mime

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"graphrelay/internal/text"
)

// decodeText returns an unstructured value with its encoded words decoded, on one line.
func decodeText(v string) string { return cleanLine(decodeWords(v)) }

// cleanLine returns s on one line: line breaks and tabs become spaces, other control
// characters and the blanks at its ends are removed, and invalid UTF-8 is replaced.
func cleanLine(s string) string {
	if isPrintable(s) { // nearly all are
		return strings.Trim(s, " ")
	}
	s = strings.ReplaceAll(validUTF8(s), "\r\n", " ")
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

// isPrintable reports whether s is printable ASCII and spaces.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cleanBody returns s as valid UTF-8 without a byte order mark and, if it has any (controls),
// without control characters other than tab, CR and LF. Line breaks with a second CR become CRLF.
func cleanBody(s string, controls bool) string {
	s = strings.TrimPrefix(validUTF8(s), "\ufeff")
	s = strings.ReplaceAll(s, "\r\r\n", "\r\n")
	if !controls {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isBodyControl(r) {
			return -1
		}
		return r
	}, s)
}

// plainLen returns how many bytes at the beginning of s are ASCII without control characters that
// cleanBody removes. Most text is nothing else, and need not be looked at character by character,
// but eight at a time: adding 1 sets the highest bit of DEL, and adding 0x60 that of all but
// control characters, of which a closer look finds tabs and line breaks.
func plainLen[T string | []byte](s T) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		if (w|(w+each)|^(w+0x60*each))&high == 0 {
			continue
		}
		for n := range 8 {
			if !isPlainText[b[n]] {
				return i + n
			}
		}
	}
	for ; i < len(s); i++ {
		if !isPlainText[s[i]] {
			return i
		}
	}
	return i
}

var isPlainText = func() (plain [256]bool) {
	for c := range rune(utf8.RuneSelf) {
		plain[c] = !isBodyControl(c)
	}
	return plain
}()

// validUTF8 is strings.ToValidUTF8 with the character that replaces others. Nearly all text is
// valid, which utf8.ValidString sees much faster.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func isBodyControl(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f
}

// keep returns a copy of s, truncated to n bytes, so that the field it is from can be freed.
func keep(s string, n int) string { return strings.Clone(text.Truncate(s, n)) }
