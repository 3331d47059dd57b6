package mime

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// decodeUTF7 converts UTF-7 (RFC 2152) to UTF-8: "+" begins UTF-16 in base64, which ends at
// the first other character. A "-" there is removed.
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
		n := base64Prefix(b)
		if n == 0 {
			out.WriteByte('+')
		}
		out.WriteString(utf16Base64(b[:n]))
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

func utf16Base64(b []byte) string {
	raw := make([]byte, len(b))
	n, _ := base64.RawStdEncoding.Decode(raw, b)
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	return string(utf16.Decode(units))
}
