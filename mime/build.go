package mime

import (
	"bytes"
	"fmt"
	"io"
	"slices"
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
	leaves := appendLeaves(nil, root)
	b.readBodies(leaves)
	for _, p := range leaves {
		if _, isText := b.texts[p]; !isText && !b.dropsAMP(p) {
			b.files = append(b.files, p)
		}
	}
	if b.err != nil {
		return b.err
	}
	b.linkLocations()
	b.compose(root)
	return b.attach()
}

// appendLeaves appends the parts that are no multiparts, in document order.
func appendLeaves(all []*part, p *part) []*part {
	if len(p.children) == 0 || p.raw {
		return append(all, p)
	}
	for _, c := range p.children {
		all = appendLeaves(all, c)
	}
	return all
}

// readBodies reads the parts that are bodies: texts that are not marked as files and, if
// there are none, the first text with a name. Some senders name their body.
func (b *builder) readBodies(leaves []*part) {
	for _, p := range leaves {
		switch {
		case !p.isText() || p.name != "" && !p.isRendition():
		case p.isSpare():
			b.salvaged(p.path, "one more text beside HTML, kept as an attachment")
		default:
			b.readBody(p)
		}
	}
	if len(b.order) > 0 || len(b.large) > 0 {
		return
	}
	for _, p := range leaves {
		if p.isText() && p.name != "" && b.readBody(p) {
			b.mapped(p.path, "text with a file name taken as the body, there is no other")
			return
		}
	}
}

// isText reports whether p is plain text or HTML that is not marked as an attachment.
func (p *part) isText() bool {
	if len(p.children) > 0 || p.raw || p.attachment {
		return false
	}
	return p.mediaType == "text/plain" || p.mediaType == "text/html"
}

// isRendition reports whether p is a body by its place, even if it has a name: one of the
// forms of a multipart/alternative, or what a multipart/related shows.
func (p *part) isRendition() bool {
	for ; p.parent != nil; p = p.parent {
		if p.parent.mediaType == "multipart/alternative" {
			return true
		}
		if p.parent.children[0] != p {
			return false
		}
		if p.parent.mediaType == "multipart/related" {
			return true
		}
	}
	return false
}

// isSpare reports whether p is a text in a multipart/alternative that is no form of the
// message: a named one behind HTML, or a second plain text, which nobody would see beside
// HTML. It is a file.
func (p *part) isSpare() bool {
	if p.parent == nil || p.parent.mediaType != "multipart/alternative" {
		return false
	}
	at := slices.Index(p.parent.children, p)
	before, behind := p.parent.children[:at], p.parent.children[at+1:]
	html := slices.ContainsFunc(before, (*part).hasHTML)
	if p.mediaType == "text/html" || html && p.name != "" {
		return html && p.name != ""
	}
	second := slices.ContainsFunc(before, func(c *part) bool { return c.isText() && c.mediaType == "text/plain" })
	return second && (html || slices.ContainsFunc(behind, (*part).hasHTML))
}

// hasHTML reports whether p or a part in it is HTML that is not marked as an attachment.
func (p *part) hasHTML() bool {
	return p.isText() && p.mediaType == "text/html" || !p.raw && slices.ContainsFunc(p.children, (*part).hasHTML)
}

// dropsAMP reports whether p is left out as a body in AMP for Email beside HTML that says
// the same. Data that are no text are kept.
func (b *builder) dropsAMP(p *part) bool {
	if p.mediaType != "text/x-amp-html" || p.attachment || p.raw || p.parent == nil || p.parent.mediaType != "multipart/alternative" {
		return false
	}
	if b.html == 0 {
		return false
	}
	raw := b.readContent(p, b.lim.BodyBytes)
	if _, removed, ok := p.readText(raw); !ok || removed {
		return false
	}
	b.dropped(p.path, "AMP alternative, the HTML body says the same")
	return true
}

// readBody reads the text of p into memory. It returns false if p has to be an attachment:
// if it exceeds the limit, and the body names it then, or if it is no text.
func (b *builder) readBody(p *part) bool {
	used := &b.text
	if p.mediaType == "text/html" {
		used = &b.html
	}
	room := b.lim.BodyBytes - *used
	window := max(room, 4<<10) // to see whether it is text
	raw := b.readContent(p, window+1)
	s, removed, ok := p.readText(raw[:min(int64(len(raw)), window)])
	if !ok {
		b.salvaged(p.path, "content is no text, kept as an attachment")
		p.mediaType = "application/octet-stream"
		return false
	}
	if p.hidesParts(raw) {
		b.salvaged(p.path, "multipart encoded as a whole, kept as a message")
		p.mediaType, p.name, p.prefix = "message/rfc822", "message.eml", multipartPrefix(p.boundary)
		return false
	}
	if p.flowed && p.mediaType == "text/plain" {
		s = unflow(s, p.delSp)
	}
	if int64(max(len(raw), len(s))) > room {
		b.limit(p.path, "text too large, kept as an attachment")
		if p.name == "" {
			p.name = "message" + extensionOf(p.mediaType)
		}
		b.large = append(b.large, p.name)
		return false
	}
	if removed {
		b.salvaged(p.path, "control characters or damaged characters left out")
	}
	*used += int64(max(len(raw), len(s)))
	b.texts[p] = s
	b.order = append(b.order, p)
	return true
}

// hidesParts reports whether the content of p, which is part of raw, is a multipart in spite
// of a transfer encoding, which RFC 2045 section 6.4 forbids.
func (p *part) hidesParts(raw []byte) bool {
	return p.boundary != "" && p.transfer != identity && bytes.Contains(raw, []byte("--"+p.boundary))
}

// multipartPrefix returns the header of a message whose body is parts with the boundary.
func multipartPrefix(boundary string) string {
	return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + quote(boundary) + "\r\n\r\n"
}

// readContent returns up to n bytes of the decoded content of p.
func (b *builder) readContent(p *part, n int64) []byte {
	content := p.open(b.r)
	var buf bytes.Buffer
	buf.Grow(int(min(n, max(0, p.end-p.body))) + bytes.MinRead) // no encoding makes content smaller
	_, err := buf.ReadFrom(io.LimitReader(content, n))
	raw := buf.Bytes()
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("read part %s: %w", p.path, err)
	}
	if isLossy(content) && b.skipped(p) {
		return b.readContent(p, n)
	}
	return raw
}

// skipped notes that a decoder left out a part of the content of p. It returns true if the
// content is not encoded at all, and is to be read again as it is.
func (b *builder) skipped(p *part) (again bool) {
	if p.isMisencoded(b.r) {
		b.salvaged(p.path, "content is not encoded as the header says, kept as it is")
		p.transfer = identity
		return true
	}
	if !p.noted {
		b.salvaged(p.path, "characters that do not belong to the transfer encoding left out")
	}
	p.noted = true
	return false
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
	size, lossy, err := p.size(b.r)
	if err == nil && lossy && b.skipped(p) {
		size, _, err = p.size(b.r)
	}
	if err != nil {
		return nil, fmt.Errorf("read part %s: %w", p.path, err)
	}
	a.Size = size
	a.Name = b.nameOf(p, n)
	return a, nil
}
