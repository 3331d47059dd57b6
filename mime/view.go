package mime

import (
	"html"
	"strings"
)

// segment is a piece of the body: HTML or plain text.
type segment struct {
	html bool
	text string
}

// view returns the pieces of the body, in order, that a reader of HTML or of plain text sees
// (RFC 2046 section 5.1): of alternatives those of this kind, and of other multiparts all.
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

// offers reports whether an alternative of p suits the view.
func (b *builder) offers(p *part, html bool) bool {
	for _, c := range p.children {
		if b.suits(c, html) {
			return true
		}
	}
	return false
}

// suits reports whether an alternative is shown in the view: for HTML one with HTML in it,
// for plain text one with plain text only.
func (b *builder) suits(p *part, html bool) bool {
	hasHTML, hasText := b.kinds(p)
	if html {
		return hasHTML
	}
	return hasText && !hasHTML
}

// kinds reports which kinds of text p has.
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

// joinText joins the pieces of plain text. Each begins on a new line.
func joinText(segs []segment) string {
	if len(segs) == 1 && !segs[0].html {
		return segs[0].text
	}
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

// joinHTML joins the pieces of HTML and, if texts is set, those of plain text, converted to
// HTML. Mail clients show several HTML documents in a row as one.
func joinHTML(segs []segment, texts bool) string {
	if len(segs) == 1 && segs[0].html {
		return segs[0].text
	}
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

// textToHTML converts plain text to HTML with the same lines and indentation.
func textToHTML(s string) string {
	s = strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	s = html.EscapeString(s)
	s = strings.ReplaceAll(s, "  ", " &nbsp;")
	return "<div>" + strings.ReplaceAll(s, "\n", "<br>\r\n") + "</div>"
}
