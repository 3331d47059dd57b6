package mime

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// decodeUTF7 converts UTF-7 (RFC 2152) to UTF-8: "+" begins UTF-16 in base64, which ends at
// the first other character. A "-" there is removed. What is no UTF-16, such as "+49" and
// "a+b", stays: most text that is named UTF-7 is ASCII.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		i := bytes.IndexByte(b, '+')
		if i < 0 {
			out.WriteString(guessText(b))
			break
		}
		out.WriteString(guessText(b[:i]))
		b = b[i+1:]
		if bytes.HasPrefix(b, []byte("-")) { // an escaped plus sign
			out.WriteByte('+')
			b = b[1:]
			continue
		}
		n := base64Prefix(b)
		s, ok := utf16Base64(b[:n])
		if !ok || isWord(b[:n], bytes.HasPrefix(b[n:], []byte("-"))) {
			out.WriteByte('+')
			out.Write(b[:n])
			b = b[n:]
			continue
		}
		out.WriteString(s)
		b = bytes.TrimPrefix(b[n:], []byte("-"))
	}
	return strings.ToValidUTF8(out.String(), "\ufffd")
}

// base64Prefix returns the number of base64 characters at the beginning of b.
func base64Prefix(b []byte) int {
	for i, c := range b {
		if base64Value(c) > 63 || c == '-' || c == '_' {
			return i
		}
	}
	return len(b)
}

// isWord reports whether what follows "+" is a word or number rather than base64: lower case
// and digits, and also a capital letter in front unless "-" ends it.
func isWord(b []byte, ended bool) bool {
	if !ended && len(b) > 0 && b[0]-'A' < 26 {
		b = b[1:]
	}
	return !bytes.ContainsFunc(b, func(r rune) bool { return r >= 'A' && r <= 'Z' })
}

// utf16Base64 decodes UTF-16 in base64. ok is false unless it is whole characters, with
// zero bits at the end.
func utf16Base64(b []byte) (s string, ok bool) {
	spare := len(b) * 6 % 16
	if len(b) == 0 || spare >= 6 {
		return "", false
	}
	if base64Value(b[len(b)-1])&(1<<spare-1) != 0 {
		return "", false
	}
	raw := make([]byte, len(b))
	n, _ := base64.RawStdEncoding.Decode(raw, b)
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	s = string(utf16.Decode(units))
	return s, !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.Is(unicode.Co, r) })
}
