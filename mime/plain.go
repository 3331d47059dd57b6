package mime

import (
	"strings"

	"golang.org/x/net/html"
)

// HTMLText converts HTML to plain text. Each block begins a new line, with at most one blank
// line between, and the address of a link follows its text unless the two are the same.
func HTMLText(doc string) string {
	var p plainText
	z := html.NewTokenizer(strings.NewReader(doc))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return p.String()
		case html.TextToken:
			if p.raw == "" {
				p.words(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			p.end(string(name))
		}
	}
}

// plainText collects text, and collapses white space as browsers do.
type plainText struct {
	strings.Builder
	raw    string // the open element whose content is not shown
	breaks int    // line breaks before the next word
	space  bool   // a space comes before the next word
	link   string // the address of the open <a>
	linked int    // the offset of its text
}

func (p *plainText) words(text string) {
	for i, word := range strings.FieldsFunc(text, isSpace) {
		p.space = p.space || i > 0 || isSpace(rune(text[0]))
		p.word(word)
	}
	if text != "" && isSpace(rune(text[len(text)-1])) {
		p.space = true
	}
}

// isSpace reports whether HTML collapses r. It does not collapse no-break spaces.
func isSpace(r rune) bool { return strings.ContainsRune(" \t\r\n\f", r) }

func (p *plainText) word(word string) {
	word = strings.ReplaceAll(word, "\u00a0", " ")
	switch {
	case p.Len() == 0:
	case p.breaks > 0:
		p.WriteString(strings.Repeat("\n", min(p.breaks, 2)))
	case p.space:
		p.WriteByte(' ')
	}
	p.breaks, p.space = 0, false
	p.WriteString(word)
}

func (p *plainText) start(z *html.Tokenizer) {
	name, more := z.TagName()
	tag := string(name)
	switch {
	case isRawElement(tag):
		p.raw = tag
	case tag == "br":
		p.breaks++
	case tag == "td" || tag == "th":
		p.space = true
	case tag == "p":
		p.breaks = max(p.breaks, 2)
	case isBlock(tag):
		p.breaks = max(p.breaks, 1)
	case tag == "a":
		p.link, p.linked = "", p.Len()
		for more {
			var key, value []byte
			if key, value, more = z.TagAttr(); string(key) == "href" {
				p.link = strings.TrimSpace(string(value))
			}
		}
	}
}

func (p *plainText) end(tag string) {
	switch {
	case p.raw != "":
		p.raw = ""
	case tag == "a":
		p.endLink()
	case tag == "td" || tag == "th":
	case tag == "p":
		p.breaks = max(p.breaks, 2)
	case isBlock(tag):
		p.breaks = max(p.breaks, 1)
	}
}

func (p *plainText) endLink() {
	if !strings.HasPrefix(p.link, "https://") && !strings.HasPrefix(p.link, "http://") {
		p.link = "" // and its text, which may be long, is not looked at for each </a>
		return
	}
	text := strings.TrimSpace(p.String()[min(p.linked, p.Len()):])
	if text != "" && strings.TrimSuffix(p.link, "/") != text && !strings.HasSuffix(strings.TrimSuffix(p.link, "/"), "://"+text) {
		p.space = true
		p.word("<" + p.link + ">")
	}
	p.link = ""
}
