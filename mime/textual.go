package mime

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// readText converts the content of a body to UTF-8. ok is false if the content is no text,
// whatever its type says: it has to be an attachment then, since the body would lose bytes.
// Removed is whether the text has lost characters, which only a part that is declared as
// text may.
func (p *part) readText(raw []byte) (s string, removed, ok bool) {
	if isFileFormat(raw) {
		return "", false, false
	}
	named := p.charset
	if p.mediaType == "text/html" {
		named = htmlCharset(p.charset, raw)
	}
	if canonicalCharset(named) == "" && plainLen(raw) == len(raw) { // most texts are ASCII
		return strings.ReplaceAll(string(raw), "\r\r\n", "\r\n"), false, true
	}
	s = toUTF8(named, raw)
	if p.declared {
		s = strings.TrimRight(s, "\x00\x1a") // padding, and the end of a file of DOS
	}
	q := qualityOf(s)
	if q.controls > 0 && p.declared {
		if wide, ok := unmarkedUTF16(raw); ok {
			s, q = wide, quality{}
		}
	}
	wide := isWide(canonicalCharset(named)) && !isNarrow(raw)
	if (wide || hasMark(raw)) && (q.broken+q.private > 0 || !isLikelyWide(s, wide)) {
		return "", false, false
	}
	clean := cleanBody(s, q.removed > 0)
	removed = q.removed > 0 || q.broken > 0
	if !p.declared {
		return clean, false, !removed && !hasMark(raw) && isLikelyText(raw)
	}
	return clean, removed, q.isText(utf8.Valid(raw))
}

// quality counts what does not belong into a text.
type quality struct {
	runes    int
	controls int // that no text has; those for terminals, such as ESC, do not count
	removed  int // all that cleanBody removes
	broken   int // characters that could not be read
	private  int // of private use, which data that are no text often have in UTF-16
}

func qualityOf(s string) quality {
	var q quality
	for len(s) > 0 {
		plain := plainLen(s)
		r, n := utf8.DecodeRuneInString(s[plain:])
		s = s[plain+n:]
		q.runes += plain
		if n == 0 {
			break
		}
		q.runes++
		switch {
		case r >= 0xe000 && r <= 0xf8ff:
			q.private++
		case r >= 0xa0 && r != utf8.RuneError:
		case r == utf8.RuneError || r >= 0x80:
			q.broken++
		case isBodyControl(r):
			q.removed++
			if !isTerminalControl(r) {
				q.controls++
			}
		}
	}
	return q
}

// isTerminalControl reports whether r is a control character that programs print:
// BEL, BS, VT, FF or ESC.
func isTerminalControl(r rune) bool {
	return r == '\a' || r == '\b' || r == '\v' || r == '\f' || r == 0x1b
}

// isText reports whether what is declared as text is text. Some senders put NUL and other
// control characters into it, and cut a character in two. More of them are tolerated in
// ASCII and valid UTF-8, which no other data look like by chance.
func (q quality) isText(valid bool) bool {
	if q.controls > 0 && q.controls*4 >= q.runes || q.broken > max(2, q.runes/20) || q.private > max(2, q.runes/20) {
		return false
	}
	if valid && q.controls <= 8 {
		return true
	}
	return q.controls*50 <= q.runes
}

// isLikelyText reports whether content that nothing declares as text is text: ASCII, UTF-8,
// or mostly ASCII with some letters of another charset.
func isLikelyText(raw []byte) bool {
	if utf8.Valid(raw) {
		return true
	}
	high := 0
	for _, c := range raw {
		if c >= utf8.RuneSelf {
			high++
		}
	}
	return high*4 <= len(raw)
}

// isWide reports whether a charset has two or four bytes for each character.
func isWide(charset string) bool {
	return strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32")
}

// hasMark reports whether b begins with a byte order mark of UTF-16.
func hasMark(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff"))
}

// isLikelyWide reports whether a text that was read as UTF-16 or UTF-32 was meant as that.
// Nearly all data can be read so, but have characters of many scripts then. Without a
// charset that says so, the text needs some spaces, line breaks or letters of Latin too.
func isLikelyWide(s string, named bool) bool {
	scripts := map[rune]bool{}
	n, common := 0, 0
	for _, r := range s {
		n++
		switch {
		case r < 0x100 || r >= 0x3000 && r < 0x3040:
			common++
		case r < 0x180 || r >= 0x2000 && r < 0x2c00 || r >= 0x3040 && r < 0x3100 || r >= 0xff00:
			// signs and letters that stand beside several scripts
		case r >= 0x3400 && r < 0xa000:
			scripts[0x3400] = true // Han
		case r >= 0xac00 && r < 0xd800:
			scripts[0xac00] = true // Hangul
		default:
			scripts[r>>8] = true
		}
	}
	return len(scripts) <= 2+n/200 && (named || common >= (min(n, 36)+5)/6+n/30)
}

// unmarkedUTF16 converts text in UTF-16 that nothing names as that: every other byte of
// Latin letters is zero.
func unmarkedUTF16(raw []byte) (string, bool) {
	zeros := bytes.Count(raw, []byte{0})
	if len(raw)%2 != 0 || zeros*3 < len(raw) || zeros*2 > len(raw)+2 {
		return "", false
	}
	s := decodeNamed("utf-16", raw)
	q := qualityOf(s)
	return s, q.removed+q.broken == 0
}

// fileFormats are how files begin that may have so few control characters that they look
// like text.
var fileFormats = []string{
	"%PDF-", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "PK\x03\x04", "PK\x05\x06", "\x1f\x8b\x08",
	"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "7z\xbc\xaf\x27\x1c", "Rar!\x1a\x07", "\xfd7zXZ\x00",
	"\x7fELF", "SQLite format 3\x00", "ID3\x02", "ID3\x03", "ID3\x04", "\x78\x9f\x3e\x22",
}

// isFileFormat reports whether raw begins as a file of a known format that is no text.
func isFileFormat(raw []byte) bool {
	head := string(raw[:min(len(raw), 16)])
	if slices.ContainsFunc(fileFormats, func(f string) bool { return strings.HasPrefix(head, f) }) {
		return true
	}
	return len(raw) > 262 && string(raw[257:262]) == "ustar"
}
