// Package text cleans text from outside before it is shown: it removes line breaks, secrets
// and characters that could control a terminal or hide other text, and bounds the length.
package text

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s with a question mark for each character that does not print and for
// each byte that is not UTF-8. It is for terminals and SMTP answers, where the mark shows
// that something was replaced.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// OneLine returns s with a space for each line break, each invisible character and each byte
// that is not UTF-8, and without spaces at its ends. It is for header fields and for text
// that is quoted in other text.
func OneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s))
}

// ASCII returns s with a question mark for each character that is not printable ASCII.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// Fold returns s so that texts that differ only in upper and lower case are equal. It folds each
// character by itself, as Unicode's simple case folding does.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, s)
}

// IsASCII reports whether all bytes of s are ASCII, control characters included.
func IsASCII[S string | []byte](s S) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Truncate returns the first n bytes of s, or up to three fewer in order not to cut a
// character.
func Truncate(s string, n int) string {
	n = max(n, 0)
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax && i >= 0; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n] // not UTF-8
}

// Shorten returns s if it has at most n bytes. Otherwise it returns its beginning, as Truncate
// does, followed by "...".
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Truncate(s, n) + "..."
}

// Size returns a number of bytes as people are shown it: in MB, as Exchange counts them, and
// exactly.
func Size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.4g MB (%d bytes)", float64(bytes)/(1<<20), bytes)
}

// Redact returns s with "[redacted]" instead of each of the secrets. It ignores empty
// secrets.
func Redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return s
}

// RedactError returns err if its text contains none of the secrets. Otherwise it returns an
// error with the redacted text that wraps nothing, since a wrapped error could show them.
func RedactError(err error, secrets ...string) error {
	if redacted := Redact(err.Error(), secrets...); redacted != err.Error() {
		return errors.New(redacted)
	}
	return err
}
