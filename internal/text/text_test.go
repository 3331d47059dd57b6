package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func check(t *testing.T, name string, f func(string) string, want map[string]string) {
	t.Helper()
	for in, out := range want {
		if got := f(in); got != out {
			t.Errorf("%s(%q) = %q, want %q", name, in, got, out)
		}
	}
}

func TestCleaning(t *testing.T) {
	check(t, "Printable", Printable, map[string]string{
		"plain ü": "plain ü", "\x1b[31m": "?[31m", "a\r\nb": "a??b", "\u202eabc": "?abc", "\xff": "?", "\u00a0": "?",
	})
	check(t, "OneLine", OneLine, map[string]string{
		"plain ü": "plain ü", " a\r\n\tb\x00": "a   b", "\u202eabc": "abc", "a\xffb": "a b", "a\u00a0b": "a\u00a0b", "": "",
	})
	check(t, "ASCII", ASCII, map[string]string{"a ~": "a ~", "ü\n\x7f\xff": "????"})
}

func TestFold(t *testing.T) {
	check(t, "Fold", Fold, map[string]string{"Az 09": "az 09", "ÄrzTE": "ärzte", "ΚΏΣΤΑΣ": "κώστασ", "κώστας": "κώστασ", "\u212a": "k", "ſ": "s", "ẞ": "ß", "\xffA": "\ufffda"})
}

func TestIsASCII(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\x00\x7f": true, "ü": false, "a\x80": false} {
		if IsASCII(s) != want || IsASCII([]byte(s)) != want {
			t.Errorf("%q: not %v", s, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, s := range []string{"", "abc", "äöü", "€", "a😀b", "\x80\x80\x80\x80\x80", "\xff\xff\xff"} {
		for n := -1; n <= len(s)+1; n++ {
			got := Truncate(s, n)
			switch {
			case !strings.HasPrefix(s, got) || len(got) > max(n, 0) || len(got) < min(len(s), n)-3:
				t.Errorf("Truncate(%q, %d) = %q", s, n, got)
			case utf8.ValidString(s) && !utf8.ValidString(got):
				t.Errorf("Truncate(%q, %d) = %q, which is not UTF-8", s, n, got)
			case len(s) <= n && got != s:
				t.Errorf("Truncate(%q, %d) = %q", s, n, got)
			}
		}
	}
}

func ExampleShorten() {
	fmt.Println(Shorten("naïve", 3), Shorten("naïve", 6))
	// Output: na... naïve
}

func TestRedact(t *testing.T) {
	if got := Redact("a secret and another", "secret", "", "another"); got != "a [redacted] and [redacted]" {
		t.Error(got)
	}
	wrapped := errors.New("inner")
	harmless := fmt.Errorf("outer: %w", wrapped)
	if !errors.Is(RedactError(harmless, "secret"), wrapped) {
		t.Error("an error without a secret lost what it wraps")
	}
	if got := RedactError(harmless, "inner"); errors.Is(got, wrapped) || got.Error() != "outer: [redacted]" {
		t.Error(got)
	}
}

// JSON keeps its meaning, and all of it prints.
func TestJSONWriter(t *testing.T) {
	const in = "plain ü 😀 \r\n\t\x00\x1b[2J\x7f\u009b\u202e\u2066\u200f\u2028\ufeff\U000e0041\ue000\u00ad\xa0"
	var b bytes.Buffer
	if err := json.NewEncoder(JSONWriter(&b)).Encode(in); err != nil {
		t.Fatal(err)
	}
	line := b.String()
	if strings.Count(line, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("it is %q", line)
	}
	var got string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got != strings.ToValidUTF8(in, "\ufffd") {
		t.Errorf("%q reads as %q, %v", line, got, err)
	}
}
