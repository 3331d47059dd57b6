package text

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSONWriter returns a writer that passes JSON on to w with an escape for each character
// that does not print: encoding/json escapes only the control characters of ASCII, and
// others could steer a terminal, or turn or hide the text around them. Each Write must
// hold whole characters.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(b []byte) (int, error) {
	if !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x7f }) {
		return j.w.Write(b)
	}
	s := string(b)
	if strings.ContainsFunc(s, needsEscape) {
		s = escape(s)
	}
	if _, err := io.WriteString(j.w, s); err != nil {
		return 0, err
	}
	return len(b), nil
}

// needsEscape reports whether r does not print. It ignores the control characters of ASCII:
// those in strings are escaped already, and those between values are white space.
func needsEscape(r rune) bool {
	return r > ' ' && (r == utf8.RuneError || !unicode.IsPrint(r))
}

func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if !needsEscape(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
