package mime

import (
	"bytes"
	"io"
	"strings"
	unicodes "unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"graphrelay/internal/text"
)

// toUTF8 converts text in the named charset to UTF-8. Without a name, or with one that is
// unknown, guessText converts it; so too with UTF-8 and ASCII, which some senders name
// wrongly. Text that seems to be UTF-8 is taken as that, whatever its charset is called.
func toUTF8(name string, b []byte) string {
	name = canonicalCharset(name)
	if name == "" || isMislabelledUTF8(name, b) || isWide(name) && isNarrow(b) {
		return guessText(b)
	}
	s := decodeNamed(name, b)
	if strings.Contains(s, "\ufffd") && utf8.Valid(b) && !text.IsASCII(b) {
		return string(b)
	}
	return s
}

func decodeNamed(name string, b []byte) string {
	switch name {
	case "utf-7":
		return decodeUTF7(b)
	case "iso-2022-kr":
		return decodeISO2022KR(b)
	case "iso-2022-cn":
		return decodeISO2022CN(b)
	case "hz-gb-2312":
		return decodeHZ(b)
	case "japanese":
		return decodeJapanese(b)
	case "iso-2022-jp":
		b = []byte(japaneseLines.Replace(string(b)))
	}
	if enc := mailEncoding(name, b); enc != nil {
		return decodeWith(enc, b)
	}
	r, err := charset.Reader(name, bytes.NewReader(b))
	if err != nil {
		return guessText(b)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		return guessText(b)
	}
	return validUTF8(string(out))
}

// headerText converts raw header text in the charset of the message's text. Text that is not
// in that is converted by guessText.
func headerText(name string, b []byte) string {
	name = headerCharset(name)
	if name == "" || utf8.Valid(b) && name != "hz-gb-2312" {
		return guessText(b)
	}
	if s := decodeNamed(name, b); !strings.Contains(s, "\ufffd") {
		return s
	}
	return guessText(b)
}

// isMislabelledUTF8 reports whether text in the named charset is UTF-8 in truth. Much mail
// is, and hardly any other text is valid UTF-8 by chance: in windows-1252 it would have to
// consist of pairs such as "Ã¤". Where the second character of such a pair can be a letter,
// as in "Ті" in windows-1251, or a pair is one character, as in GBK, it takes several.
func isMislabelledUTF8(name string, b []byte) bool {
	if text.IsASCII(b) || isWide(name) || !utf8.Valid(b) {
		return false
	}
	enc := mailEncoding(name, nil)
	single, ok := enc.(*charmap.Charmap)
	if !ok {
		return isLongUTF8(b)
	}
	if single == charmap.Windows1252 {
		return true
	}
	n := 0
	for _, c := range b {
		switch {
		case c >= 0xc0:
			n++
		case c >= 0x80 && !unicodes.IsLetter(single.DecodeByte(c)):
			return true
		}
	}
	return n >= 5
}

// isLongUTF8 reports whether valid UTF-8 has so many characters beyond ASCII that text in a
// charset with two bytes for each is none by chance.
func isLongUTF8(b []byte) bool {
	n, long := 0, 0
	for _, r := range string(b) {
		if r >= 0x80 {
			n++
		}
		if r >= 0x800 {
			long++
		}
	}
	return n >= 8 || long >= 4
}

// isNarrow reports whether text that is named as UTF-16 or UTF-32 is ASCII, UTF-8 or the
// like: those have no NUL, which UTF-16 has in each space and line break.
func isNarrow(b []byte) bool {
	if hasMark(b) || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	ascii := 0
	for _, c := range b {
		if c < 0x80 {
			ascii++
		}
	}
	return utf8.Valid(b) || ascii*10 >= len(b)*9
}

// decodeJapanese converts text in one of the three Japanese charsets.
func decodeJapanese(b []byte) string {
	if text.IsASCII(b) || utf8.Valid(b) {
		return guessText(b)
	}
	euc, sjis := decodeWith(japanese.EUCJP, b), decodeWith(japanese.ShiftJIS, b)
	if strings.Count(euc, "\ufffd") <= strings.Count(sjis, "\ufffd") {
		return euc
	}
	return sjis
}

// japaneseLines switches to ASCII at the end of each line, as RFC 1468 requires of senders.
var japaneseLines = strings.NewReplacer("\r\n", "\x1b(B\r\n", "\n", "\x1b(B\n")

// mailEncoding returns the encoding of a charset: those that browsers do not know or take
// for others, and otherwise that of browsers. It returns nil for charsets that go-message
// knows better.
func mailEncoding(name string, b []byte) encoding.Encoding {
	switch name {
	case "utf-16":
		return unicode.UTF16(byteOrder(b), unicode.UseBOM)
	case "utf-32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)
	case "cp858":
		return charmap.CodePage858
	case "utf-16le", "utf-16be":
		return nil
	}
	return webEncoding(name)
}

// byteOrder guesses the byte order of UTF-16 without a mark from the zero bytes of Latin
// letters. Without such letters it is big endian (RFC 2781 section 4.3).
func byteOrder(b []byte) unicode.Endianness {
	zeros := [2]int{}
	for i, c := range b[:min(len(b), 1000)] {
		if c == 0 {
			zeros[i%2]++
		}
	}
	if zeros[1] > zeros[0] {
		return unicode.LittleEndian
	}
	return unicode.BigEndian
}

// webEncoding returns the encoding that browsers use for a name, or nil. They read the
// names of ISO charsets as the Windows supersets that senders mean.
func webEncoding(name string) encoding.Encoding {
	enc, err := htmlindex.Get(name)
	if err != nil || enc == encoding.Replacement {
		return nil
	}
	return enc
}

func decodeWith(enc encoding.Encoding, b []byte) string {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil { // these decoders replace what they cannot read
		return validUTF8(string(b))
	}
	return validUTF8(string(out))
}

// reencode converts s from UTF-8 back to the named charset, if that has single bytes.
// Headers are converted to UTF-8 before their escapes are decoded, and characters between
// escapes must be in the charset of those.
func reencode(name, s string) string {
	if text.IsASCII(s) {
		return s
	}
	enc, ok := mailEncoding(canonicalCharset(name), nil).(*charmap.Charmap)
	if !ok {
		return s
	}
	out, err := enc.NewEncoder().String(s)
	if err != nil { // it was UTF-8 before
		return s
	}
	return out
}

// guessText converts text of unknown charset: ISO-2022 if it has its escapes, UTF-16 if it
// has a byte order mark and no faults, and otherwise UTF-8, with invalid bytes as
// windows-1252.
func guessText(b []byte) string {
	if hasMark(b) {
		if s := decodeWith(unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM), b); !strings.Contains(s, "\ufffd") {
			return s
		}
	}
	if bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@")) {
		if out, err := japanese.ISO2022JP.NewDecoder().Bytes(b); err == nil {
			return string(out)
		}
	}
	if utf8.Valid(b) {
		switch {
		case bytes.Contains(b, []byte("\x1b$)C")):
			return decodeISO2022KR(b)
		case bytes.Contains(b, []byte("\x1b$)A")):
			return decodeISO2022CN(b)
		}
		return string(b)
	}
	return decodeMixed(b)
}

// decodeMixed converts UTF-8 with faults: invalid bytes are read as windows-1252, but
// damaged characters are replaced. They begin as the other characters do.
func decodeMixed(b []byte) string {
	var begins [256]bool // the first bytes of the characters beyond ASCII
	for i, r := range string(b) {
		if r >= utf8.RuneSelf && r != utf8.RuneError {
			begins[b[i]] = true
		}
	}
	var out strings.Builder
	out.Grow(len(b) + len(b)/8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			if begins[b[0]] {
				for n < min(len(b), 4) && b[n]&0xc0 == 0x80 {
					n++
				}
			} else {
				r = charmap.Windows1252.DecodeByte(b[0])
			}
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}
