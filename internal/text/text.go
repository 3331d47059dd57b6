// Package text makes text from outside fit to be shown: on one line, without characters
// that steer a terminal or hide what stands beside them, not too long, and without secrets.
package text

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s with a question mark for each character that does not print, and
// for each byte that is not UTF-8. It is for terminals and for SMTP answers, where the
// mark shows that something stood there.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// OneLine returns s with a space for each character that could end a line or does not
// show, and for each byte that is not UTF-8, without spaces at its ends. It is for header
// fields and for texts that are quoted in others.
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

// IsASCII reports whether all bytes of s are ASCII, control characters included.
func IsASCII[S string | []byte](s S) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Truncate returns the first n bytes of s, or up to three fewer so as not to end inside a
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

// Shorten returns s if it has at most n bytes, and otherwise its beginning, as by
// Truncate, with "..." after it.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Truncate(s, n) + "..."
}

// Redact returns s with "[redacted]" in place of each of the secrets. Empty secrets are
// ignored.
func Redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return s
}

// RedactError returns err if its text names none of the secrets, and otherwise an error
// that has only the redacted text: what err wraps could show them.
func RedactError(err error, secrets ...string) error {
	if redacted := Redact(err.Error(), secrets...); redacted != err.Error() {
		return errors.New(redacted)
	}
	return err
}
