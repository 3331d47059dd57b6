package mime

import (
	"strings"
	"unicode"

	"golang.org/x/net/html"

	"graphrelay/internal/text"
)

// BeforeQuote returns the offset in the content at which the sender's own words end:
// in front of the quoted reply or the forwarded message, else at the end, in HTML
// before </body>. What is inserted there shows, and nothing of the content has to
// change for it: the offset is never inside a tag, a comment or a script.
//
// No standard says how a quote is marked: this goes by what mail clients write, and a
// quote with words of the sender's below it, as an answer between the lines has, is none.
func (b Body) BeforeQuote() int {
	if b.HTML {
		return beforeHTMLQuote(b.Content)
	}
	return beforeTextQuote(b.Content)
}

// htmlScan follows the tokens of a document. Offsets are -1 where there is nothing.
type htmlScan struct {
	at   int    // the current token
	raw  string // the open element whose content is no markup, such as script
	safe int    // the end of the last token that is whole and outside of raw

	line, last shownLine // being read, and the last one that shows something
	rule       int       // the <hr> that nothing shown follows
	header     int       // the box that Outlook puts around From: and Sent:, until its text is seen

	quote int    // where a quote begins that nothing of the sender's follows
	open  bool   // it has no end
	tag   string // the element that it is, and how many such are open
	depth int

	body, html int // the last end tags
}

// shownLine is text between two places where a block begins or ends.
type shownLine struct {
	start  int
	text   string // its beginning
	prefix bool   // its block is marked as what introduces a quote
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

// unfinished returns how many bytes at the end of a token would take in what is added
// behind them.
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
	case s.raw != "": // the tokenizer gives its text as one token, then its end tag
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

// isRawElement lists what the tokenizer reads no tags in.
func isRawElement(name string) bool {
	switch name {
	case "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "title", "textarea", "xmp":
		return true
	}
	return false
}

// element is a start tag, as far as quotes are told by it.
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

// start looks at a start tag, behind which next stands.
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

// introduced returns where a quote begins, with the line before it that says whose it is.
func (s *htmlScan) introduced(e element) int {
	if e.name == "blockquote" && s.last.text != "" && (s.last.prefix || isAttribution(s.last.text)) {
		return s.last.start
	}
	return s.at
}

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

const maxShown = 400 // bytes of a line that are looked at

func (s *htmlScan) text(t string) {
	if s.depth > 0 || !shows(t) {
		return
	}
	s.quote, s.rule = -1, -1
	if s.line.text == "" && s.header >= 0 && hasLabel(t, fromLabels) {
		s.quote, s.open = s.header, true
		return
	}
	s.header = -1
	s.line.text += text.Truncate(t, maxShown-min(len(s.line.text), maxShown))
	if isSeparator(s.line.text) {
		s.quote, s.open = s.line.start, true
	}
}

// newLine begins a line at start.
func (s *htmlScan) newLine(start int) {
	if s.line.text != "" {
		s.last = s.line
	}
	s.line = shownLine{start: start}
}

// shows tells whether text leaves a trace on the screen.
func shows(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) && !isInvisible(r) })
}

// isInvisible lists what mail clients put where nothing is to be seen.
func isInvisible(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u034f'
}

func isBlock(name string) bool {
	switch name {
	case "div", "p", "br", "blockquote", "body", "table", "tbody", "tr", "td", "th", "ul", "ol", "li", "dl", "dd", "dt",
		"pre", "center", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer", "hr":
		return true
	}
	return false
}

// opensQuote tells what Outlook and Hotmail put before a quote that ends with the message.
func (e element) opensQuote() bool {
	switch e.id {
	case "divRplyFwdMsg", "appendonsend", "mail-editor-reference-message-container", "stopSpelling":
		return true
	}
	return false
}

// holdsQuote tells the elements that are a quote: of Gmail, Yahoo, Thunderbird's
// forwarding, Proton, Zoho, GMX, and any blockquote that does not merely indent.
func (e element) holdsQuote() bool {
	if e.name == "blockquote" {
		return e.kind == "cite" || !strings.Contains(compactStyle(e.style), "border:none")
	}
	return e.name == "div" && (e.label == "quote" ||
		hasClass(e.class, "gmail_quote", "gmail_quote_container", "yahoo_quoted", "moz-forward-container", "protonmail_quote", "zmail_extra"))
}

// isOutlookHeader tells the box that Outlook for Windows and Mac draws around the
// header of what is quoted; newsletters have such, too.
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
