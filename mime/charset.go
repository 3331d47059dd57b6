package mime

import (
	"bytes"
	"io"
	"strings"
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
// wrongly. Text that is not valid in the named charset but is valid UTF-8 is taken as that.
func toUTF8(name string, b []byte) string {
	name = canonicalCharset(name)
	if name == "" {
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
	return strings.ToValidUTF8(string(out), "\ufffd")
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
		return strings.ToValidUTF8(string(b), "\ufffd")
	}
	return strings.ToValidUTF8(string(out), "\ufffd")
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

// guessText converts text of unknown charset: ISO-2022-JP if it has its escapes, UTF-16 if
// it has a byte order mark and no faults, and otherwise UTF-8, with each invalid byte as windows-1252.
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
		return string(b)
	}
	var out strings.Builder
	out.Grow(len(b) + len(b)/8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(b[0])
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}
