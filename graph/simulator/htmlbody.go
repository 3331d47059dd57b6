package simulator

import (
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// framePolicy is the policy of the document with the HTML of a message. The document is in a
// sandbox of its own, wherever it is shown: no script runs, no form is sent, and it loads
// nothing but images of the message. The style of the message is in it.
const framePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"

// unshown are the elements that are left out of the document, with what is in them. The policy
// stops what they would load, but not that browsers look up names and connect ahead of time.
var unshown = []string{"script", "iframe", "frame", "frameset", "object", "embed", "applet", "base", "link", "meta", "noscript", "template", "title"}

// void are the elements of these that have no end tag.
var void = []string{"base", "embed", "frame", "link", "meta"}

// htmlDocument returns the document that shows the HTML of a message. A cid: URL becomes the path
// of the attachment, and links open in a tab of their own.
func htmlDocument(m *Message) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"und\"><head><meta charset=\"utf-8\"><title>Message</title></head>\n")
	z := html.NewTokenizer(strings.NewReader(m.Body.Content))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return b.String()
		}
		t := z.Token()
		switch {
		case kind == html.DoctypeToken || kind == html.CommentToken || t.Data == "html" || t.Data == "head":
		case kind == html.TextToken:
			b.WriteString(t.String())
		case slices.Contains(unshown, t.Data):
			if kind == html.StartTagToken && !slices.Contains(void, t.Data) {
				skipElement(z, t.Data)
			}
		case t.Data == "style":
			// Its text is not escaped in HTML: the tokenizer returns it as one text token.
			writeStyle(&b, z, kind)
		default:
			for n := range t.Attr {
				t.Attr[n].Val = m.resolveCID(t.Attr[n].Val)
			}
			if kind != html.EndTagToken && (t.Data == "a" || t.Data == "area") {
				t.Attr = slices.DeleteFunc(t.Attr, func(a html.Attribute) bool { return a.Key == "target" || a.Key == "rel" || a.Key == "ping" })
				t.Attr = append(t.Attr, html.Attribute{Key: "target", Val: "_blank"}, html.Attribute{Key: "rel", Val: "noopener noreferrer"})
			}
			b.WriteString(t.String())
		}
	}
}

// skipElement skips the rest of an element whose start tag was read.
func skipElement(z *html.Tokenizer, name string) {
	for depth := 1; depth > 0; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.EndTagToken:
			if found, _ := z.TagName(); string(found) == name {
				if depth++; kind == html.EndTagToken {
					depth -= 2
				}
			}
		}
	}
}

// writeStyle writes a style element whose start tag was read.
func writeStyle(b *strings.Builder, z *html.Tokenizer, kind html.TokenType) {
	if kind != html.StartTagToken {
		return
	}
	if z.Next() == html.TextToken {
		b.WriteString("<style>")
		b.Write(z.Raw()) // it ends before the end tag
		b.WriteString("</style>")
	}
}

// resolveCID returns an attribute's value with the path of an attachment in place of a cid: URL
// (RFC 2392).
func (m *Message) resolveCID(value string) string {
	trimmed := strings.TrimSpace(value)
	if len(trimmed) < 4 || !strings.EqualFold(trimmed[:4], "cid:") {
		return value
	}
	contentID, err := url.PathUnescape(trimmed[4:])
	if err != nil {
		return value
	}
	for _, a := range m.Attachments {
		if a.Kept && strings.Trim(a.ContentID, "<>") == contentID {
			return "/_simulator/attachments/" + url.PathEscape(a.ID) + "?inline"
		}
	}
	return value
}

// htmlText returns the text of an HTML document, one line for a block.
func htmlText(document string) string {
	var b strings.Builder
	line := false // something was written since the last line break
	z := html.NewTokenizer(strings.NewReader(document))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return strings.TrimSpace(b.String())
		case html.TextToken:
			text := string(z.Text())
			if words := strings.Join(strings.Fields(text), " "); words != "" {
				if line && strings.ContainsAny(text[:1], " \t\r\n") {
					b.WriteByte(' ')
				}
				b.WriteString(words)
				line = true
				if strings.ContainsAny(text[len(text)-1:], " \t\r\n") {
					b.WriteByte(' ')
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, _ := z.TagName()
			tag := string(name)
			if kind == html.StartTagToken && slices.Contains([]string{"script", "style", "head", "title", "template"}, tag) {
				skipElement(z, tag)
			}
			if slices.Contains([]string{"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre", "hr"}, tag) && line {
				b.WriteByte('\n')
				line = false
			}
		}
	}
}
