package mime

import (
	"html"
	"strings"
)

// segment is one piece of the body: HTML or text.
type segment struct {
	html bool
	text string
}

// view returns the pieces of the body in order, as a reader of HTML or of text
// sees them (RFC 2046 section 5.1): of alternatives the kind that is read, of
// everything else all.
func (b *builder) view(p *part, html bool) []segment {
	if s, ok := b.texts[p]; ok {
		if strings.TrimSpace(s) == "" {
			return nil
		}
		return []segment{{p.mediaType == "text/html", s}}
	}
	var all []segment
	alternative := p.mediaType == "multipart/alternative" && b.offers(p, html)
	for _, c := range p.children {
		if !alternative || b.suits(c, html) {
			all = append(all, b.view(c, html)...)
		}
	}
	return all
}

// offers tells whether any alternative of p suits the view.
func (b *builder) offers(p *part, html bool) bool {
	for _, c := range p.children {
		if b.suits(c, html) {
			return true
		}
	}
	return false
}

// suits tells whether an alternative is read in the view: in HTML one with HTML in
// it, in text one with text alone.
func (b *builder) suits(p *part, html bool) bool {
	hasHTML, hasText := b.kinds(p)
	if html {
		return hasHTML
	}
	return hasText && !hasHTML
}

// kinds tells which texts p holds.
func (b *builder) kinds(p *part) (html, text bool) {
	if s, ok := b.texts[p]; ok && strings.TrimSpace(s) != "" {
		return p.mediaType == "text/html", p.mediaType != "text/html"
	}
	for _, c := range p.children {
		h, t := b.kinds(c)
		html, text = html || h, text || t
	}
	return html, text
}

func anyHTML(segs []segment) bool {
	for _, s := range segs {
		if s.html {
			return true
		}
	}
	return false
}

// joinText joins the pieces that are text, each beginning on a line of its own.
func joinText(segs []segment) string {
	var out strings.Builder
	for _, s := range segs {
		if s.html {
			continue
		}
		startLine(&out)
		out.WriteString(s.text)
	}
	return out.String()
}

func startLine(out *strings.Builder) {
	if out.Len() > 0 && !strings.HasSuffix(out.String(), "\n") {
		out.WriteString("\r\n")
	}
}

// joinHTML joins the pieces that are HTML, and with texts also the others, as HTML.
// Readers take several documents in a row as one.
func joinHTML(segs []segment, texts bool) string {
	var out strings.Builder
	for _, s := range segs {
		if !s.html && !texts {
			continue
		}
		startLine(&out)
		if s.html {
			out.WriteString(s.text)
			continue
		}
		out.WriteString(textToHTML(s.text))
	}
	return out.String()
}

// textToHTML keeps the lines and the indentation of text.
func textToHTML(s string) string {
	s = strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	s = html.EscapeString(s)
	s = strings.ReplaceAll(s, "  ", " &nbsp;")
	return "<div>" + strings.ReplaceAll(s, "\n", "<br>\r\n") + "</div>"
}
