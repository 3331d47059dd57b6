package mime

import (
	"math/rand/v2"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"
)

// What looks at whole stretches of a text finds what looking at each character finds.
func TestTextByCharacter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	pieces := []string{"a", "word ", "\r\n", "\t", "ä", "本", "\ufffd", "\ue000", "\u0085", "\u00a0", "\x00", "\x07", "\x7f", "\x1b", "\xff", "\xe6\x9c", "\x80", "\ufeff", "\r\r\n"}
	for range 2000 {
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteString(strings.Repeat(pieces[random.IntN(len(pieces))], 1+random.IntN(3)))
		}
		s := b.String()
		var want quality
		for _, r := range s {
			want.runes++
			switch {
			case r >= 0xe000 && r <= 0xf8ff:
				want.private++
			case r == utf8.RuneError || r >= 0x80 && r < 0xa0:
				want.broken++
			case isBodyControl(r):
				want.removed++
				if !isTerminalControl(r) {
					want.controls++
				}
			}
		}
		if got := qualityOf(s); got != want {
			t.Errorf("%q: %+v, want %+v", s, got, want)
		}
		if clean := cleanBody(s, want.removed > 0); strings.ContainsFunc(clean, isBodyControl) || !utf8.ValidString(clean) {
			t.Errorf("%q: cleaned to %q", s, clean)
		}
		if got, want := validUTF8(s), strings.ToValidUTF8(s, "\ufffd"); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// A usual date is what net/mail makes of it.
func TestUsualDate(t *testing.T) {
	for _, v := range []string{
		"Mon, 02 Nov 2026 10:00:00 +0100", "Mon, 2 Nov 2026 10:00:00 -0000", "Sun, 2 Nov 2026 10:00:00 +0000",
		"Mon, 31 Nov 2026 10:00:00 +0100", "Mon, 2 Nov 2026 10:00:00.5 +0100", "Mon, 2 Nov 26 10:00:00 +0100", "Mon, 2 Nov 2026 10:00 +0100",
		"Mon,  2 Nov 2026 10:00:00 +0100", "Mon, 2 Nov 2026 24:00:00 +0100", "Mon, 2 Nov 2026 10:00:00 +9900", "mon, 2 nov 2026 10:00:00 +0100",
		"Mon, 2 Nov 2026 10:00:00 GMT", "2 Nov 2026 10:00:00 +0100",
	} {
		want, err := mail.ParseDate(v)
		got := parseDate(v)
		if err == nil && (!got.Equal(want) || got.String() != want.String()) {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}

// TestPlainLen has each byte at each place within and behind the words that are looked at at once.
func TestPlainLen(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			text := []byte("plain text\r\nand\tmore")
			text[at] = byte(c)
			want := len(text)
			if c >= 0x80 || isBodyControl(rune(c)) {
				want = at
			}
			if got, same := plainLen(text), plainLen(string(text)); got != want || same != want {
				t.Errorf("%q: %d, %d as a string, want %d", text, got, same, want)
			}
		}
	}
}
