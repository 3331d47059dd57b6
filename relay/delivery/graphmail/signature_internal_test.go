package graphmail

import (
	"strings"
	"testing"

	"graphrelay/mime"
	"graphrelay/relay/signature"
)

func TestAddSignature(t *testing.T) {
	s := signature.Rendered{HTML: "<b>Anna</b><br>Sales &amp; more", Text: "Anna\nSales & more"}
	const html, quote = "<div><br>\n<b>Anna</b><br>Sales &amp; more\n</div>\n", "<blockquote type=cite>Anna<br>Sales &amp; more</blockquote>"
	for _, tt := range []struct {
		name, content string
		s             signature.Rendered
		want          string
	}{
		{"html", "<p>Hello</p></body>", s, "<p>Hello</p>" + html + "</body>"},
		{"html, quoted alone", "<p>Hello</p>" + quote, s, "<p>Hello</p>" + html + quote},
		{"html, there", "<p>Hello</p><i>Anna</i>\n<p>Sales &amp;&nbsp; more</p>" + quote, s, ""},
		{"html, picture", "<p>a</p>", signature.Rendered{HTML: "<img src=https://x>"}, "<p>a</p><div><br>\n<img src=https://x>\n</div>\n"},
		{"html, picture there", "<p>a</p><img src=https://x>", signature.Rendered{HTML: "<img src=https://x>"}, ""},
		{"html, empty", "<p>Hello</p>", signature.Rendered{Text: "a"}, ""},
		{"text", "Hello\r\n", s, "Hello\r\n\r\n-- \r\nAnna\r\nSales & more\r\n"},
		{"text, LF", "Hello\n", s, "Hello\n\n-- \nAnna\nSales & more\n"},
		{"text, no line end", "Hello", s, "Hello\r\n\r\n-- \r\nAnna\r\nSales & more\r\n"},
		{"text, blank line", "Hello\r\n\r\n", s, "Hello\r\n\r\n-- \r\nAnna\r\nSales & more\r\n"},
		{"text, nothing", "", s, "-- \r\nAnna\r\nSales & more\r\n"},
		{"text, own delimiter", "Hello\n", signature.Rendered{Text: "Bye\n-- \nAnna"}, "Hello\n\nBye\n-- \nAnna\n"},
		{"text, quote", "Hello\n\n> Anna Sales & more\n", s, "Hello\n\n-- \nAnna\nSales & more\n\n> Anna Sales & more\n"},
		{"text, there", "Hello\n-- \nAnna\n  Sales & more\n> x\n", s, ""},
		{"text, empty", "Hello\n", signature.Rendered{HTML: "a"}, ""},
	} {
		b := mime.Body{HTML: strings.HasPrefix(tt.name, "html"), Content: tt.content}
		got, added := addSignature(b, tt.s)
		if !added {
			if got != tt.content {
				t.Errorf("%s: not added, but changed to %q", tt.name, got)
			}
			got = ""
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Without what was added, everything is as it was.
func FuzzAddSignature(f *testing.F) {
	f.Add("<p>Hello</p><blockquote>x</blockquote>", true)
	f.Add("Hello\n\nOn 1 May at 10:00 Bob wrote:\n> x", false)
	f.Fuzz(func(t *testing.T, content string, html bool) {
		s := signature.Rendered{HTML: "<b>Anna</b>", Text: "Anna"}
		b := mime.Body{HTML: html, Content: content}
		place := b.BeforeQuote()
		got, added := addSignature(b, s)
		n := len(got) - len(content)
		if n < 0 || added != (n > 0) || got[:place]+got[place+n:] != content {
			t.Errorf("%q became %q", content, got)
		}
	})
}
