package postgres

import (
	"strings"
	"time"
	"unicode/utf8"

	"graphrelay/relay/queue"
)

// PostgreSQL's texts hold neither NUL nor what is not UTF-8, but the texts of a message may.
// escape writes such bytes, and escapeMark itself, as escapeMark and two hexadecimal digits.
// Every other text stays as it is.
func escape(s string) string {
	if plainText(s) {
		return s
	}
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == escapeMark || r == utf8.RuneError && n == 1 {
			b.Write([]byte{escapeMark, digits[s[i]>>4], digits[s[i]&15]})
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

const escapeMark = '\x1a' // SUBSTITUTE, which hardly any text has

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\x1a")
}

// unescape returns what was given to escape.
func unescape(s string) string {
	if strings.IndexByte(s, escapeMark) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == escapeMark && i+2 < len(s) {
			b.WriteByte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func hexDigit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// unescapeAll unescapes texts in place.
func unescapeAll(texts ...*string) {
	for _, t := range texts {
		*t = unescape(*t)
	}
}

func escapeEach(list []string) []string {
	escaped := make([]string, len(list))
	for i, s := range list {
		escaped[i] = escape(s)
	}
	return escaped
}

func micros(t time.Time) int64 { return queue.Micros(t) }

func fromMicros(us int64) time.Time { return queue.FromMicros(us) }
