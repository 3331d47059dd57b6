package mime

import (
	"io"
	"strconv"
	"strings"
)

const (
	maxNameBytes     = 255  // of a file name, in UTF-8
	maxTypeBytes     = 127  // of a type or subtype (RFC 6838 section 4.2)
	maxBoundaryBytes = 1000 // RFC 2046 allows 70
	maxLocationBytes = 4096
)

// part is one entity of the message: what its header says, bounded, and where in
// the message it lies. The content stays where it is.
type part struct {
	path     string // "1.2": the numbers of RFC 3501 section 6.4.5; of the whole "message"
	parent   *part
	children []*part

	start int64 // of the header
	body  int64 // of the content
	end   int64 // behind the content

	mediaType  string // "type/subtype" in lower case
	hasType    bool   // the header said so
	charset    string
	boundary   string
	flowed     bool
	delSp      bool
	method     string // of text/calendar
	smimeType  string
	name       string // as sent, decoded
	attachment bool   // Content-Disposition: attachment
	transfer   transfer
	contentID  string
	location   string
	locationID string // the Content-ID made for a Content-Location
	prefix     string // stands before the content of a branch past a limit
	raw        bool   // the content is the whole entity, header included
	oversized  bool   // the header exceeds the limits
}

func (p *part) isMultipart() bool {
	return strings.HasPrefix(p.mediaType, "multipart/") && !p.raw
}

// child returns a new part under p.
func (p *part) child(start int64) *part {
	c := &part{parent: p, start: start}
	p.children = append(p.children, c)
	c.path = strconv.Itoa(len(p.children))
	if p.parent != nil {
		c.path = p.path + "." + c.path
	}
	return c
}

// describe takes what is needed from the header of the part.
func (p *part) describe(h *Header, rep *reporter) {
	p.describeType(h)
	p.describeDisposition(h)
	if v, ok := h.first("Content-Transfer-Encoding"); ok {
		if p.transfer, ok = parseTransfer(v); !ok {
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

func (p *part) describeType(h *Header) {
	v, ok := h.first("Content-Type")
	ct := parseParams(v)
	p.mediaType = keep(canonicalType(ct.token), 2*maxTypeBytes+1)
	p.hasType = ok && p.mediaType != ""
	p.charset = keep(ct.get("charset"), maxTypeBytes)
	p.boundary = boundaryOf(v, ct)
	p.flowed = strings.EqualFold(ct.get("format"), "flowed")
	p.delSp = strings.EqualFold(ct.get("delsp"), "yes")
	p.method = keep(ct.get("method"), maxTypeBytes)
	p.smimeType = strings.ToLower(keep(ct.get("smime-type"), maxTypeBytes))
	p.name = keep(ct.get("name"), 4*maxNameBytes)
}

// boundaryOf returns the boundary that the Content-Type v, read as ct, names.
func boundaryOf(v string, ct params) string {
	return keep(strings.TrimRight(rawBoundary(v, ct), " \t"), maxBoundaryBytes)
}

// rawBoundary returns the boundary as it stands in the delimiter lines: not
// decoded, even where it looks like an encoded word.
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

func (p *part) describeDisposition(h *Header) {
	v, ok := h.first("Content-Disposition")
	if !ok {
		return
	}
	d := parseParams(v)
	p.attachment = d.token == "attachment"
	if n := d.get("filename"); n != "" {
		p.name = keep(n, 4*maxNameBytes)
	} else if n := d.get("name"); n != "" && p.name == "" {
		p.name = keep(n, 4*maxNameBytes)
	}
}

// canonicalType checks "type/subtype" (RFC 2045 section 5.1); "" is neither.
func canonicalType(t string) string {
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

// defaultType gives a part without a usable type its default: text/plain, in a
// digest message/rfc822 (RFC 2045 section 5.2, RFC 2046 section 5.1.5); what calls
// itself a file and has no type is bytes.
func (p *part) defaultType(saidType bool) {
	if p.hasType {
		return
	}
	switch {
	case p.parent != nil && p.parent.mediaType == "multipart/digest" && !saidType:
		p.mediaType = "message/rfc822"
	case saidType && (p.attachment || p.name != ""):
		p.mediaType = "application/octet-stream"
	default:
		p.mediaType = "text/plain"
	}
}

// contentID takes the id out of its brackets (RFC 2392).
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

// open returns the decoded content of p from its beginning.
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

// size returns how many bytes open yields.
func (p *part) size(r io.ReaderAt) (int64, error) {
	if p.raw {
		return int64(len(p.prefix)) + max(0, p.end-p.start), nil
	}
	if p.transfer == identity {
		return int64(len(p.prefix)) + max(0, p.end-p.body), nil
	}
	return io.Copy(io.Discard, p.open(r))
}
