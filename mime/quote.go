package mime

import (
	"strings"
	"unicode"

	"golang.org/x/net/html"

	"graphrelay/internal/text"
)

// BeforeQuote returns the offset in Content at which the sender's own text ends: before the
// quoted or forwarded message, or at the end, which is before </body> in HTML. Text that is
// inserted there is visible: the offset is never inside a tag, a comment or a script.
//
// No standard defines how quotes are marked. BeforeQuote knows the marks of common mail
// clients. A quote with text of the sender after it, as in interleaved replies, does not
// count.
func (b Body) BeforeQuote() int {
	if b.HTML {
		return beforeHTMLQuote(b.Content)
	}
	return beforeTextQuote(b.Content)
}

// htmlScan finds the quote in an HTML document, token by token. Offsets are -1 if there is
// none.
type htmlScan struct {
	at   int    // offset of the current token
	raw  string // the open element whose content is not markup, such as script
	safe int    // offset after the last complete token outside of raw

	line, last visibleLine // the current line, and the last one with visible text
	rule       int         // offset of an <hr> without visible text after it
	header     int         // offset of the box that Outlook puts around From: and Sent:, until its text is read

	quote int    // offset of the quote, if no text of the sender follows it so far
	open  bool   // the quote extends to the end of the message
	tag   string // name of the quote's element
	depth int    // number of elements of that name that are open

	body, html int // offsets of the last end tags
}

// visibleLine is the text between two block boundaries.
type visibleLine struct {
	start  int
	text   string // its beginning
	prefix bool   // its block is marked as the introduction of a quote
}

func beforeHTMLQuote(doc string) int {
	s := htmlScan{rule: -1, header: -1, quote: -1, body: -1, html: -1}
	z := html.NewTokenizer(strings.NewReader(doc))
	for !s.open {
		t := z.Next()
		if t == html.ErrorToken {
			break
		}
		raw := doc[s.at : s.at+len(z.Raw())]
		s.token(z, t, len(raw))
		s.at += len(raw)
		if s.raw == "" {
			s.safe = s.at - unfinished(t, raw)
		}
	}
	for _, place := range []int{s.quote, s.body, s.html} {
		if place >= 0 {
			return place
		}
	}
	return s.safe
}

// unfinished returns the number of bytes at the end of a token that text after them would
// become part of.
func unfinished(t html.TokenType, raw string) int {
	switch {
	case t == html.TextToken:
		for _, begun := range []string{"<", "</", "<!", "<?"} {
			if strings.HasSuffix(raw, begun) {
				return len(begun)
			}
		}
	case t == html.CommentToken && strings.HasPrefix(raw, "<!--"):
		if !strings.HasSuffix(raw, "-->") && !strings.HasSuffix(raw, "--!>") {
			return len(raw)
		}
	case t != html.TextToken && !strings.HasSuffix(raw, ">"):
		return len(raw)
	}
	return 0
}

func (s *htmlScan) token(z *html.Tokenizer, t html.TokenType, size int) {
	switch {
	case s.raw != "": // its content is one token, and its end tag follows
		if t == html.EndTagToken {
			s.raw = ""
		}
	case t == html.TextToken:
		s.text(string(z.Text()))
	case t == html.StartTagToken || t == html.SelfClosingTagToken:
		e := readElement(z)
		if isRawElement(e.name) {
			s.raw = e.name
		}
		s.start(e, s.at+size)
	case t == html.EndTagToken:
		name, _ := z.TagName()
		s.end(string(name), s.at+size)
	}
}

// isRawElement reports whether the content of an element is not markup for the tokenizer.
func isRawElement(name string) bool {
	switch name {
	case "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "title", "textarea", "xmp":
		return true
	}
	return false
}

// element is a start tag, with the attributes by which quotes are recognized.
type element struct{ name, id, class, style, kind, label string }

func readElement(z *html.Tokenizer) element {
	name, more := z.TagName()
	e := element{name: string(name)}
	fields := map[string]*string{"id": &e.id, "class": &e.class, "style": &e.style, "type": &e.kind, "name": &e.label}
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if f := fields[string(key)]; f != nil && *f == "" {
			*f = string(value)
		}
	}
	return e
}

// start handles a start tag. next is the offset after it.
func (s *htmlScan) start(e element, next int) {
	if s.depth > 0 {
		if e.name == s.tag {
			s.depth++
		}
		return
	}
	switch {
	case e.opensQuote():
		s.open = true
		if s.rule >= 0 {
			s.found(s.rule)
		}
		s.found(s.at)
	case e.name == "hr":
		s.newLine(next)
		s.rule = s.at
	case e.holdsQuote():
		s.newLine(s.at)
		s.found(s.introduced(e))
		s.tag, s.depth = e.name, 1
	case e.name == "div" || e.name == "p":
		s.newLine(s.at)
		s.line.prefix = hasClass(e.class, "moz-cite-prefix", "gmail_attr")
		if e.isOutlookHeader() {
			s.header = s.at
		}
	case isBlock(e.name):
		s.newLine(next)
	}
}

func (s *htmlScan) found(place int) {
	if s.quote < 0 {
		s.quote = place
	}
}

// introduced returns the offset of a quote, including the line before it that attributes it.
func (s *htmlScan) introduced(e element) int {
	if e.name == "blockquote" && s.last.text != "" && (s.last.prefix || isAttribution(s.last.text)) {
		return s.last.start
	}
	return s.at
}

// end handles an end tag. next is the offset after it.
func (s *htmlScan) end(name string, next int) {
	switch name {
	case "body":
		s.body, s.depth = s.at, 0
	case "html":
		s.html, s.depth = s.at, 0
	}
	if s.depth > 0 {
		if name == s.tag {
			s.depth--
		}
		return
	}
	if isBlock(name) {
		s.newLine(next)
	}
}

const maxLine = 400 // bytes of a line that are examined

// text handles text. Visible text of the sender means that the quote before it does not
// count.
func (s *htmlScan) text(t string) {
	if s.depth > 0 || !isVisible(t) {
		return
	}
	s.quote, s.rule = -1, -1
	if s.line.text == "" && s.header >= 0 && hasLabel(t, fromLabels) {
		s.quote, s.open = s.header, true
		return
	}
	s.header = -1
	s.line.text += text.Truncate(t, maxLine-min(len(s.line.text), maxLine))
	if isSeparator(s.line.text) {
		s.quote, s.open = s.line.start, true
	}
}

// newLine begins a line at an offset.
func (s *htmlScan) newLine(start int) {
	if s.line.text != "" {
		s.last = s.line
	}
	s.line = visibleLine{start: start}
}

// isVisible reports whether any of the text is visible on a screen.
func isVisible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) && !isInvisible(r) })
}

// isInvisible reports whether r is one of the characters that mail clients use as invisible
// fillers.
func isInvisible(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u034f'
}

// isBlock reports whether an element begins a new line.
func isBlock(name string) bool {
	switch name {
	case "div", "p", "br", "blockquote", "body", "table", "tbody", "tr", "td", "th", "ul", "ol", "li", "dl", "dd", "dt",
		"pre", "center", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer", "hr":
		return true
	}
	return false
}

// opensQuote reports whether e is one of those that Outlook and Hotmail put before a quote
// that extends to the end of the message.
func (e element) opensQuote() bool {
	switch e.id {
	case "divRplyFwdMsg", "appendonsend", "mail-editor-reference-message-container", "stopSpelling":
		return true
	}
	return false
}

// holdsQuote reports whether e encloses a quote: an element of Gmail, Yahoo, Thunderbird
// (forwarding), Proton, Zoho or GMX, or a blockquote that is not used for indentation.
func (e element) holdsQuote() bool {
	if e.name == "blockquote" {
		return e.kind == "cite" || !strings.Contains(compactStyle(e.style), "border:none")
	}
	return e.name == "div" && (e.label == "quote" ||
		hasClass(e.class, "gmail_quote", "gmail_quote_container", "yahoo_quoted", "moz-forward-container", "protonmail_quote", "zmail_extra"))
}

// isOutlookHeader reports whether e may be the box that Outlook for Windows and Mac draws
// around the header of the quoted message. Newsletters have such boxes too.
func (e element) isOutlookHeader() bool {
	style := compactStyle(e.style)
	return e.name == "div" && strings.Contains(style, "border:none") && strings.Contains(style, "border-top:solid")
}

func compactStyle(style string) string {
	return strings.ToLower(strings.Join(strings.Fields(style), ""))
}

func hasClass(class string, names ...string) bool {
	for c := range strings.FieldsSeq(class) {
		for _, n := range names {
			if c == n {
				return true
			}
		}
	}
	return false
}
