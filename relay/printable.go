package relay

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable passes JSON lines on to w, with an escape for every character that does
// not print: what stands in mail shall neither steer a terminal nor turn or hide the
// text around it. JSON itself escapes the controls of ASCII alone. Each Write has to
// hold whole characters.
func Printable(w io.Writer) io.Writer { return printable{w} }

type printable struct{ w io.Writer }

func (p printable) Write(b []byte) (int, error) {
	line := string(b)
	if strings.ContainsFunc(line, unseen) {
		line = escapeUnseen(line)
	}
	if _, err := io.WriteString(p.w, line); err != nil {
		return 0, err
	}
	return len(b), nil
}

// unseen tells of a character that does not print. ASCII's controls are left out: JSON
// has escaped them, but for the end of its own line.
func unseen(r rune) bool { return r > ' ' && (r == utf8.RuneError || !unicode.IsPrint(r)) }

func escapeUnseen(s string) string {
	var b strings.Builder
	for _, r := range s {
		if !unseen(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
