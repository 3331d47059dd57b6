package mime

import "strings"

// decodeWords decodes the encoded words (RFC 2047) in s. It is lenient: words may be inside
// other text, and the bytes of adjacent words in one charset are joined before conversion,
// since some senders split characters between words.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := wordDecoder{}
	for {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, n, more := parseWord(s[i:])
		if !more {
			break
		}
		if n == 0 {
			d.text(s[:i+2])
			s = s[i+2:]
			continue
		}
		d.text(s[:i])
		d.word(w)
		s = s[i+n:]
	}
	d.text(s)
	d.flush()
	return d.out.String()
}

// decodeStructure decodes the encoded words of a structured field that stand where a type or
// a parameter begins. Some mail libraries encode a whole value such as "application/pdf;
// name=..." if the name has 8-bit characters. Words in the values of parameters stay.
func decodeStructure(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	var out strings.Builder
	begins, quoted := true, false // a type or parameter begins here
	for i := 0; i < len(v); {
		if begins {
			quote := len(v[i:]) - len(strings.TrimPrefix(v[i:], `"`))
			if n := wordsPrefix(v[i+quote:]); n > 0 {
				out.WriteString(decodeText(v[i+quote : i+quote+n]))
				i += quote + n
				i += len(v[i:]) - len(strings.TrimPrefix(v[i:], `"`[:quote]))
				begins = false
				continue
			}
		}
		c := v[i]
		quoted = quoted != (c == '"')
		begins = !quoted && (c == ';' || begins && isBlank(c))
		out.WriteByte(c)
		i++
	}
	return out.String()
}

// wordsPrefix returns the length of the encoded words at the beginning of s, with the blanks
// between them.
func wordsPrefix(s string) int {
	end := 0
	for at := 0; strings.HasPrefix(s[at:], "=?"); {
		_, n, _ := parseWord(s[at:min(len(s), at+maxWordBytes)])
		if n == 0 {
			break
		}
		end = at + n
		at = end + len(s[end:]) - len(strings.TrimLeft(s[end:], " \t\r\n"))
	}
	return end
}

// maxWordBytes bounds one encoded word in a structured field. RFC 2047 allows 75.
const maxWordBytes = 4 << 10

// encodedWord is one "=?charset?encoding?text?=".
type encodedWord struct {
	charset string
	base64  bool
	text    string
}

// parseWord parses the encoded word at the beginning of s, which begins with "=?". n is its
// length, or 0 if there is none. more reports whether another word can follow.
func parseWord(s string) (w encodedWord, n int, more bool) {
	mark := strings.IndexByte(s[2:], '?')
	if mark < 0 {
		return w, 0, false
	}
	at := 2 + mark + 1 // the encoding
	if mark > 64 || strings.ContainsAny(s[2:2+mark], " \t=") || at+2 > len(s) || s[at+1] != '?' {
		return w, 0, true
	}
	enc := s[at] | 0x20
	if enc != 'b' && enc != 'q' {
		return w, 0, true
	}
	end := strings.Index(s[at+2:], "?=")
	if end < 0 {
		return w, 0, false
	}
	w = encodedWord{s[2 : 2+mark], enc == 'b', s[at+2 : at+2+end]}
	return w, at + 2 + end + 2, true
}

// wordDecoder decodes runs of words in one charset.
type wordDecoder struct {
	out     strings.Builder
	inRun   bool
	charset string
	bytes   []byte
	quad    quad // base64 that a sender split inside a group of four
}

// text adds the text between words. Blanks between two words are ignored (RFC 2047 section
// 6.2).
func (d *wordDecoder) text(s string) {
	if d.inRun && strings.Trim(s, " \t\r\n") == "" {
		return
	}
	d.flush()
	d.out.WriteString(s)
}

func (d *wordDecoder) word(w encodedWord) {
	charset, _, _ := strings.Cut(strings.ToLower(w.charset), "*")
	if d.inRun && charset != d.charset {
		d.flush()
	}
	d.inRun, d.charset = true, charset
	if w.base64 {
		if len(w.text)%4 == 0 { // the word is complete, so the one before lacks its padding
			d.bytes = d.quad.flush(d.bytes)
		}
		d.bytes = d.quad.decode(d.bytes, w.text)
		return
	}
	d.bytes = appendQ(d.quad.flush(d.bytes), reencode(charset, w.text))
}

func (d *wordDecoder) flush() {
	if d.inRun {
		d.out.WriteString(toUTF8(d.charset, d.quad.flush(d.bytes)))
	}
	d.inRun, d.bytes = false, d.bytes[:0]
}

// appendQ appends s decoded from the "Q" encoding (RFC 2047 section 4.2). Invalid escapes
// stay.
func appendQ(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			dst = append(dst, ' ')
		case s[i] == '=' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func isHex(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 6
}

func unhex(c byte) byte {
	if c-'0' < 10 {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
