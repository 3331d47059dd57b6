package mime

import (
	"fmt"
	"io"
	"strings"
)

// builder makes the body and the attachments of a message from its parts.
type builder struct {
	*reporter
	r     io.ReaderAt
	lim   Limits
	msg   *Message
	texts map[*part]string // the bodies read so far, UTF-8
	order []*part          // the parts of texts, in document order
	html  int64            // bytes of HTML in texts
	text  int64            // bytes of plain text in texts
	files []*part          // the attachments, in document order
	large []string         // names of attached texts that are too large for the body
	err   error
}

func (b *builder) build(root *part) error {
	b.texts = map[*part]string{}
	b.classify(root, hasHTML(root))
	if b.err != nil {
		return b.err
	}
	b.linkLocations()
	b.compose(root)
	return b.attach()
}

// classify walks through the parts in order, and reads the bodies and lists the
// attachments among them. html is whether the message has an HTML body.
func (b *builder) classify(p *part, html bool) {
	switch {
	case len(p.children) > 0 && !p.raw:
		for _, c := range p.children {
			b.classify(c, html)
		}
	case p.isAMP() && html && p.parent != nil && p.parent.mediaType == "multipart/alternative":
		b.dropped(p.path, "AMP alternative, the HTML body says the same")
	case !p.isBody() || !b.readBody(p):
		b.files = append(b.files, p)
	}
}

// hasHTML reports whether p or a part in it is an HTML body.
func hasHTML(p *part) bool {
	if p.isBody() && p.mediaType == "text/html" {
		return true
	}
	for _, c := range p.children {
		if hasHTML(c) {
			return true
		}
	}
	return false
}

// isBody reports whether p is a body: plain text or HTML that is not marked as a file.
func (p *part) isBody() bool {
	if len(p.children) > 0 || p.raw || p.attachment || p.name != "" {
		return false
	}
	return p.mediaType == "text/plain" || p.mediaType == "text/html"
}

// isAMP reports whether p is a body in AMP for Email.
func (p *part) isAMP() bool {
	return p.mediaType == "text/x-amp-html" && !p.attachment && len(p.children) == 0
}

// readBody reads the text of p into memory. It returns false if that exceeds the limit: p
// becomes an attachment, and the body names it.
func (b *builder) readBody(p *part) bool {
	used := &b.text
	if p.mediaType == "text/html" {
		used = &b.html
	}
	raw, err := io.ReadAll(io.LimitReader(p.open(b.r), b.lim.BodyBytes-*used+1))
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("read body %s: %w", p.path, err)
	}
	s := ""
	if int64(len(raw)) <= b.lim.BodyBytes-*used {
		s = p.decodeBody(raw)
	}
	if int64(max(len(raw), len(s))) > b.lim.BodyBytes-*used {
		b.limit(p.path, "text too large, kept as an attachment")
		p.name = "message" + extensionOf(p.mediaType)
		b.large = append(b.large, p.name)
		return false
	}
	*used += int64(max(len(raw), len(s)))
	b.texts[p] = s
	b.order = append(b.order, p)
	return true
}

// decodeBody converts a body to clean UTF-8.
func (p *part) decodeBody(raw []byte) string {
	if p.mediaType == "text/html" {
		return cleanBody(toUTF8(htmlCharset(p.charset, raw), raw))
	}
	s := cleanBody(toUTF8(p.charset, raw))
	if p.flowed {
		s = unflow(s, p.delSp)
	}
	return s
}

// compose sets the message's body, text and HTML from the texts of the parts.
func (b *builder) compose(root *part) {
	text, html := b.view(root, false), b.view(root, true)
	if len(b.large) > 0 {
		text = append(text, segment{text: attachedNote(b.large)})
	}
	b.msg.Text = joinText(text)
	b.msg.HTML = joinHTML(html, false)
	b.msg.Body.Content = b.msg.Text
	if !anyHTML(html) {
		return
	}
	if len(b.large) > 0 {
		html = append(html, segment{text: attachedNote(b.large)})
	}
	b.msg.Body = Body{HTML: true, Content: joinHTML(html, true)}
}

// attachedNote returns the line that refers readers to texts which are attached.
func attachedNote(names []string) string {
	return "[The text of this message is attached: " + strings.Join(names, ", ") + "]"
}

// attach sets the message's attachments.
func (b *builder) attach() error {
	ids := map[string][]*Attachment{}
	for i, p := range b.files {
		a, err := b.attachment(p, i+1)
		if err != nil {
			return err
		}
		b.msg.Attachments = append(b.msg.Attachments, a)
		if a.ContentID != "" {
			ids[a.ContentID] = append(ids[a.ContentID], a)
		}
	}
	markInline(b.msg.HTML, ids)
	return nil
}

func (b *builder) attachment(p *part, n int) (*Attachment, error) {
	if p.raw {
		p.mediaType = "message/rfc822"
	}
	r := b.r // b would keep the bodies in memory
	a := &Attachment{ContentType: p.mediaType, ContentID: p.id(), open: func() io.Reader { return p.open(r) }}
	size, err := p.size(b.r)
	if err != nil {
		return nil, fmt.Errorf("read part %s: %w", p.path, err)
	}
	a.Size = size
	a.Name = b.nameOf(p, n)
	return a, nil
}
