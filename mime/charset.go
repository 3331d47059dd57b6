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
)

// toUTF8 converts text in the named charset. A name that says nothing, or one
// that nobody knows, leaves the text to guessText, which also takes what is called
// UTF-8 or ASCII and is not.
func toUTF8(name string, b []byte) string {
	name = canonicalCharset(name)
	switch name {
	case "":
		return guessText(b)
	case "utf-7":
		return decodeUTF7(b)
	}
	if enc := webEncoding(name); enc != nil {
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

// canonicalCharset trims what senders put around a charset name and resolves the
// names that no registry has. "" stands for "not known".
func canonicalCharset(name string) string {
	name, _, _ = strings.Cut(name, "*") // a language: RFC 2231 section 5
	name = strings.ToLower(strings.Trim(name, " \t\"'`<>;,"))
	switch name {
	case "utf-8", "utf8", "utf8mb4", "utf8mb3", "utf_8", "x-utf-8", "utf-8n", "us-ascii", "ascii",
		"unknown-8bit", "x-unknown", "unknown", "default", "none", "8bit", "7bit", "binary", "iso-10646-ucs-utf-8",
		"ansi_x3.4-1968", "646", "x-user-defined", "unicode-1-1-utf-8":
		return ""
	case "utf7", "unicode-1-1-utf-7", "x-utf-7", "csunicode11utf7", "unicode-2-0-utf-7":
		return "utf-7"
	case "latin1", "latin-1", "iso8859-1", "iso-latin-1", "iso_8859-1", "iso-8859-1-windows-1252":
		return "windows-1252"
	case "gb2312", "gbk", "x-gbk", "cp936", "ms936", "windows-936", "euc-cn", "gb_2312-80":
		return "gb18030"
	case "cp932", "ms932", "windows-31j", "sjis", "shift-jis", "x-sjis", "windows-932":
		return "shift_jis"
	case "cp949", "ks_c_5601", "uhc", "x-windows-949", "ksc5601":
		return "euc-kr"
	case "cp950", "big5-hkscs", "x-big5", "ms950":
		return "big5"
	case "iso-8859-8-e", "iso-8859-8-i":
		return "iso-8859-8"
	}
	return windowsCharset(name)
}

// windowsCharset resolves "cp1252", "cp-1252", "windows1252" and "ansi-1252".
func windowsCharset(name string) string {
	if n, ok := strings.CutPrefix(name, "cp-"); ok {
		name = "cp" + n
	}
	for _, p := range []string{"cp", "windows", "win", "ansi", "x-cp", "ms"} {
		n := strings.TrimLeft(strings.TrimPrefix(name, p), "-_")
		if strings.HasPrefix(name, p) && len(n) == 4 && strings.HasPrefix(n, "125") {
			return "windows-" + n
		}
	}
	return name
}

// webEncoding returns the encoding that browsers use for a name: they read the
// ISO names as the Windows supersets that senders mean. Names with another meaning
// in mail are left to the registered one.
func webEncoding(name string) encoding.Encoding {
	if strings.HasPrefix(name, "utf-16") || strings.HasPrefix(name, "utf-32") {
		return nil
	}
	enc, err := htmlindex.Get(name)
	if err != nil || enc == encoding.Replacement {
		return nil
	}
	return enc
}

func decodeWith(enc encoding.Encoding, b []byte) string {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil { // ours replace what they cannot read
		return strings.ToValidUTF8(string(b), "\ufffd")
	}
	return strings.ToValidUTF8(string(out), "\ufffd")
}

// guessText reads bytes of unknown charset: ISO-2022-JP by its escapes, UTF-16 by
// its mark, UTF-8 where valid, and each byte that is not as windows-1252.
func guessText(b []byte) string {
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return decodeWith(unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM), b)
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
