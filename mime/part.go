package mime

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxNameBytes     = 255  // of a file name, in UTF-8
	maxTypeBytes     = 127  // of a type or subtype (RFC 6838 section 4.2)
	maxBoundaryBytes = 1000 // RFC 2046 allows 70
	maxLocationBytes = 4096
)

// part is one entity of the message: what its header gives, bounded, and its offsets in the
// message. It does not hold the content.
type part struct {
	path     string // such as "1.2", as in RFC 3501 section 6.4.5; "message" for the whole
	parent   *part
	children []*part

	start int64 // offset of the header
	body  int64 // offset of the content
	end   int64 // offset after the content

	mediaType  string // "type/subtype" in lower case
	hasType    bool   // the header gives a valid type
	declared   bool   // the header says that the content is text, or of which type it is
	charset    string
	boundary   string
	flowed     bool
	delSp      bool
	method     string // parameter of text/calendar
	smimeType  string
	name       string // as sent, but decoded
	attachment bool   // Content-Disposition: attachment
	transfer   transfer
	noted      bool // the report says that the decoder left something out
	contentID  string
	location   string
	locationID string // the Content-ID made for a Content-Location
	prefix     string // inserted before the content of a branch that exceeds a limit
	raw        bool   // the content is the whole entity with its header
	oversized  bool   // the header exceeds the limits
}

func (p *part) isMultipart() bool {
	return strings.HasPrefix(p.mediaType, "multipart/") && !p.raw
}

// child adds a part to p.
func (p *part) child(start int64) *part {
	c := &part{parent: p, start: start}
	p.children = append(p.children, c)
	c.path = strconv.Itoa(len(p.children))
	if p.parent != nil {
		c.path = p.path + "." + c.path
	}
	return c
}

// describe sets what the part's header gives.
func (p *part) describe(h *Header, rep *reporter) {
	p.describeType(h)
	p.describeDisposition(h)
	if v, ok := h.first("Content-Transfer-Encoding"); ok {
		if p.transfer, ok = parseTransfer(decodeStructure(v)); !ok {
			rep.salvaged(p.path, "unknown transfer encoding, content kept as it is")
		}
	}
	if v, ok := h.first("Content-ID"); ok {
		p.contentID = contentID(v)
	}
	if v, ok := h.first("Content-Location"); ok {
		p.location = keep(strings.Join(strings.Fields(decodeText(v)), ""), maxLocationBytes)
	}
	p.oversized = h.cut
}

// describeType sets what Content-Type gives (RFC 2045 section 5).
func (p *part) describeType(h *Header) {
	v, ok := h.first("Content-Type")
	v = decodeStructure(v)
	ct := parseParams(v)
	p.mediaType = keep(canonicalType(ct.token), 2*maxTypeBytes+1)
	p.hasType = ok && p.mediaType != ""
	p.declared = p.hasType
	p.charset = keep(ct.get("charset"), maxTypeBytes)
	p.boundary = boundaryOf(v, ct)
	p.flowed = strings.EqualFold(ct.get("format"), "flowed")
	p.delSp = strings.EqualFold(ct.get("delsp"), "yes")
	p.method = keep(ct.get("method"), maxTypeBytes)
	p.smimeType = strings.ToLower(keep(ct.get("smime-type"), maxTypeBytes))
	p.name = keep(ct.get("name"), 4*maxNameBytes)
}

// boundaryOf returns the boundary of the Content-Type v, which was parsed as ct.
func boundaryOf(v string, ct params) string {
	return keep(strings.TrimRight(rawBoundary(v, ct), " \t"), maxBoundaryBytes)
}

// rawBoundary returns the boundary as in the delimiter lines: not decoded, even if it looks
// like an encoded word.
func rawBoundary(v string, ct params) string {
	b := ct.get("boundary")
	if i := strings.Index(strings.ToLower(v), "boundary"); i >= 0 && strings.Contains(v, "=?") {
		s := paramScanner{rest: v[i:]}
		if name, value, ok := s.next(); ok && name == "boundary" {
			b = value
		}
	}
	if len(b) > maxBoundaryBytes {
		return ""
	}
	return b
}

// describeDisposition sets what Content-Disposition gives (RFC 2183).
func (p *part) describeDisposition(h *Header) {
	v, ok := h.first("Content-Disposition")
	if !ok {
		return
	}
	d := parseParams(decodeStructure(v))
	p.attachment = strings.HasPrefix(d.token, "attach") // some misspell the rest
	if n := d.get("filename"); n != "" {
		p.name = keep(n, 4*maxNameBytes)
	} else if n := d.get("name"); n != "" && p.name == "" {
		p.name = keep(n, 4*maxNameBytes)
	}
}

// describeName sets the name again, with h converted from another charset.
func (p *part) describeName(h *Header) {
	again := &part{}
	again.describeType(h)
	again.describeDisposition(h)
	p.name = again.name
}

// textCharset returns the charset of the first text in p that has one which says how raw
// 8-bit text in headers is to be read, or else that of p.
func (p *part) textCharset() string {
	for _, leaf := range appendLeaves(nil, p) {
		if c := headerCharset(leaf.charset); c != "" && strings.HasPrefix(leaf.mediaType, "text/") {
			return c
		}
	}
	return headerCharset(p.charset)
}

// canonicalType returns t if it is a valid "type/subtype" (RFC 2045 section 5.1), else "".
// Names that are in use for text/plain and text/html become those.
func canonicalType(t string) string {
	switch t {
	case "text", "text/", "plain", "text/ascii", "text/us-ascii", "text/text", "text/txt", "text/unknown", "plain/text", "text/utf-8":
		return "text/plain"
	case "html", "html/text":
		return "text/html"
	}
	typ, sub, ok := strings.Cut(t, "/")
	if !ok || !isToken(typ) || !isToken(sub) {
		return ""
	}
	return t
}

func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxTypeBytes
}

// defaultType sets the type of a part that has no valid one: text/plain, or message/rfc822
// in a digest (RFC 2045 section 5.2, RFC 2046 section 5.1.5). If there is a Content-Type
// field, with an invalid type (hasField), a part that is marked as a file is
// application/octet-stream. Whether another one is text, its content has to show.
func (p *part) defaultType(hasField bool) {
	if p.hasType {
		return
	}
	p.declared = p.parent == nil && !hasField
	switch {
	case p.parent != nil && p.parent.mediaType == "multipart/digest" && !hasField:
		p.mediaType = "message/rfc822"
	case hasField && (p.attachment || p.name != ""):
		p.mediaType = "application/octet-stream"
	default:
		p.mediaType = "text/plain"
	}
}

// contentID returns a Content-ID without its angle brackets, as in a cid: URL (RFC 2392).
func contentID(v string) string {
	v = decodeText(v)
	if i := strings.IndexByte(v, '<'); i >= 0 {
		v = v[i+1:]
		if j := strings.IndexByte(v, '>'); j >= 0 {
			v = v[:j]
		}
	}
	return keep(strings.Join(strings.Fields(strings.Trim(v, "<>\"")), ""), maxIDBytes)
}

// open returns a reader of the decoded content of p.
func (p *part) open(r io.ReaderAt) io.Reader {
	from, t := p.body, p.transfer
	if p.raw {
		from, t = p.start, identity
	}
	n := max(0, p.end-from)
	content := newDecoder(io.NewSectionReader(r, from, n), t, n)
	if p.prefix != "" {
		return io.MultiReader(strings.NewReader(p.prefix), content)
	}
	return content
}

// size returns the number of bytes of the decoded content. Lossy is whether the encoded
// content has more than that.
func (p *part) size(r io.ReaderAt) (n int64, lossy bool, err error) {
	if p.raw {
		return int64(len(p.prefix)) + max(0, p.end-p.start), false, nil
	}
	if p.transfer == identity {
		return int64(len(p.prefix)) + max(0, p.end-p.body), false, nil
	}
	content := p.open(r)
	n, err = io.Copy(io.Discard, content)
	return n, isLossy(content), err
}

// isLossy reports whether a decoder that was read to its end has skipped something.
func isLossy(r io.Reader) bool {
	d, ok := r.(*decodedReader)
	return ok && d.lossy
}

// isMisencoded reports whether the content is not in the transfer encoding that the header
// names, but unencoded: in place of base64 prose or other data, in place of uuencoded data
// no "begin", or several files.
func (p *part) isMisencoded(r io.ReaderAt) bool {
	head := make([]byte, min(4<<10, max(0, p.end-p.body)))
	n, _ := r.ReadAt(head, p.body)
	head = head[:n]
	if p.transfer == transferUU {
		return !bytes.HasPrefix(head, []byte("begin ")) && !bytes.Contains(head, []byte("\nbegin ")) || p.uuGoesOn(r)
	}
	head, _, _ = bytes.Cut(head, []byte("=")) // another text may follow the padding
	head = bytes.TrimSpace(head)
	junk, blanks := 0, 0
	for _, c := range head {
		switch {
		case isBlank(c):
			blanks++
		case base64Value(c) > 63 && c != '\r' && c != '\n':
			junk++
		}
	}
	isText := utf8.Valid(head) && !bytes.ContainsFunc(head, isBodyControl)
	return junk*4 > len(head) || isText && blanks*25 > len(head)
}

// uuGoesOn reports whether there is another file behind the uuencoded data.
func (p *part) uuGoesOn(r io.ReaderAt) bool {
	n := max(0, p.end-p.body)
	d := newDecoder(io.NewSectionReader(r, p.body, n), transferUU, n).(*decodedReader)
	s := d.s.(*uuStepper)
	_, err := io.Copy(io.Discard, d)
	return err == nil && s.more
}
