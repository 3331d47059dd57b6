package mime

import (
	"bytes"

	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// The charsets here switch between ASCII and characters of two bytes with escapes. Browsers
// refuse them, since they can hide HTML; mail still has them. Each is turned into a charset
// that sets the high bits instead, so that 8-bit text under these names can be read too.

// decodeISO2022KR converts ISO-2022-KR (RFC 1557) to UTF-8.
func decodeISO2022KR(b []byte) string {
	return decodeWith(korean.EUCKR, shiftedToEUC(b))
}

// decodeISO2022CN converts ISO-2022-CN and ISO-2022-CN-EXT (RFC 1922) to UTF-8. Characters
// of CNS 11643 are replaced.
func decodeISO2022CN(b []byte) string {
	return decodeWith(simplifiedchinese.GBK, shiftedToEUC(b))
}

// unknownEUC is no character in any EUC.
const unknownEUC = 0xff

// shiftedToEUC sets the high bits of what stands between SO and SI, or the end of the line,
// and removes the escapes.
func shiftedToEUC(b []byte) []byte {
	out := make([]byte, 0, len(b))
	shifted, known := false, true
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\x0e':
			shifted = true
		case c == '\x0f':
			shifted = false
		case c == '\n':
			shifted = false
			out = append(out, c)
		case c == 0x1b:
			n, designates, cns := escape2022(b[i:])
			if designates {
				known = !cns
			} else if cns { // one character of another set
				out = append(out, unknownEUC)
			}
			if n == 0 {
				out = append(out, c)
				break
			}
			i += n - 1
		case shifted && isPair(b[i:]):
			if known {
				out = append(out, c|0x80, b[i+1]|0x80)
			} else {
				out = append(out, unknownEUC)
			}
			i++
		default:
			out = append(out, c)
		}
	}
	return out
}

// escape2022 returns the length of the escape at the beginning of b, or 0. It designates the
// set that SO switches to, or stands with one character of CNS 11643, or cns says that the
// set is that.
func escape2022(b []byte) (n int, designates, cns bool) {
	switch {
	case len(b) >= 4 && b[1] == '$' && b[2] == ')':
		return 4, true, b[3] == 'G'
	case len(b) >= 4 && b[1] == '$' && (b[2] == '*' || b[2] == '+'):
		return 4, false, false
	case len(b) >= 4 && (b[1] == 'N' || b[1] == 'O') && isPair(b[2:]):
		return 4, false, true
	case len(b) >= 3 && b[1] == '(':
		return 3, false, false
	}
	return 0, false, false
}

// isPair reports whether b begins with a character of two 7-bit bytes.
func isPair(b []byte) bool {
	return len(b) >= 2 && b[0] > ' ' && b[0] < 0x7f && b[1] > ' ' && b[1] < 0x7f
}

// decodeHZ converts HZ-GB-2312 (RFC 1843) to UTF-8.
func decodeHZ(b []byte) string {
	out := make([]byte, 0, len(b))
	shifted := false
	for len(b) > 0 {
		n := 1
		switch {
		case bytes.HasPrefix(b, []byte("~{")):
			shifted, n = true, 2
		case bytes.HasPrefix(b, []byte("~}")):
			shifted, n = false, 2
		case shifted && isPair(b):
			out, n = append(out, b[0]|0x80, b[1]|0x80), 2
		case bytes.HasPrefix(b, []byte("~~")):
			out, n = append(out, '~'), 2
		case bytes.HasPrefix(b, []byte("~\n")):
			n = 2
		case bytes.HasPrefix(b, []byte("~\r\n")):
			n = 3
		default:
			shifted = shifted && b[0] != '\n'
			out = append(out, b[0])
		}
		b = b[n:]
	}
	return decodeWith(simplifiedchinese.GBK, out)
}
