package postgres

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain Ü", "\x00", "a\xffb", "\x1a", "\x1a00", "\xed\xa0\x80", "\uFFFD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := escape(s)
		if !utf8.ValidString(escaped) || strings.Contains(escaped, "\x00") {
			t.Errorf("%q became %q, which PostgreSQL does not take", s, escaped)
		}
		if got := unescape(escaped); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}

// What an earlier version or a person may have written is read without a fault.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"\x1a", "\x1a0", "\x1azz", "x\x1a1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { unescape(s) })
}
