package mime

import (
	"bytes"
	"strings"
)

// maxFieldName bounds a field name; a line has at most 998 bytes (RFC 5322 section
// 2.1.1).
const maxFieldName = 1000

// headerReader collects the fields of one header block, line by line.
type headerReader struct {
	*Header
	size      int
	open      bool // the last field may be continued
	started   bool // a line was seen
	junkFirst bool // the block began with a line that is no field
	known     bool // a field of a usual name was seen
	kept      map[string]bool
	junkAt    int64 // the first line behind the last field that is none, or -1
	junkLines int   // how many such lines
	gap       bool  // the line before held only blanks
	typeAt    int   // which of the fields is the Content-Type, from 1
	boundary  *string
}

// readHeader reads the header at off and returns it with the offset of the body.
// stop says of a line whether it ends the entity (a delimiter); it may be nil.
func readHeader(src *source, off int64, lim Limits, stop func([]byte) bool) (*Header, int64) {
	r := &headerReader{Header: &Header{limits: lim}, junkAt: -1}
	pos, blank := off, false
	for pos < src.size && src.err == nil {
		line, next := src.line(pos, lim.ValueBytes+maxFieldName)
		if bytes.HasPrefix(line, []byte("--")) && (r.delimits(line) || stop != nil && stop(line)) {
			break
		}
		if len(line) == 0 {
			pos, blank = next, true
			break
		}
		r.add(line, pos)
		pos = next
	}
	return r.finish(off, pos, blank && !r.endsAt(src, pos, stop))
}

// endsAt tells whether nothing follows the header: then a stray line in it was the
// content.
func (r *headerReader) endsAt(src *source, pos int64, stop func([]byte) bool) bool {
	for range 10 {
		if r.junkAt < 0 || pos >= src.size {
			break
		}
		line, next := src.line(pos, delimiterBytes)
		if len(line) > 0 {
			return stop != nil && bytes.HasPrefix(line, []byte("--")) && stop(line)
		}
		pos = next
	}
	return r.junkAt >= 0 && pos >= src.size
}

// finish decides where the body begins. What holds no field is no header. A stray
// line is skipped, but several at the end, or any that no empty line with a body
// (blank) follows, are text whose separator was lost.
func (r *headerReader) finish(off, pos int64, blank bool) (*Header, int64) {
	if len(r.fields) == 0 && !r.junkFirst {
		return r.Header, pos
	}
	if len(r.fields) == 0 || (r.junkFirst && !r.known) {
		return &Header{limits: r.limits}, off
	}
	if r.junkAt >= 0 && (!blank || r.junkLines > 1 || r.gap) {
		return r.Header, r.junkAt
	}
	return r.Header, pos
}

func (r *headerReader) add(line []byte, off int64) {
	first := !r.started
	if first {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		r.started = true
	}
	if !first && isBlank(line[0]) || r.isLostParameter(line) {
		r.extend(line)
		if r.junkAt < 0 {
			r.gap = len(bytes.TrimLeft(line, " \t")) == 0
		}
		return
	}
	name, value, ok := splitField(bytes.TrimLeft(line, " \t"))
	if ok {
		r.junkAt, r.junkLines, r.gap = -1, 0, false
		r.begin(name, value)
		return
	}
	r.skip(line, off, first)
}

// delimits tells whether line is a delimiter that the header itself has named: the
// empty line in front of the parts was lost.
func (r *headerReader) delimits(line []byte) bool {
	if r.typeAt == 0 {
		return false
	}
	if r.boundary == nil { // named once and for all: no line continues the field now
		v := guessText(r.fields[r.typeAt-1].value)
		b := boundaryOf(v, parseParams(v))
		r.boundary = &b
	}
	ok, _ := isDelimiter(line, *r.boundary)
	return ok
}

func (r *headerReader) skip(line []byte, off int64, first bool) {
	r.open = false
	if first && isMboxLine(line) {
		return
	}
	if len(r.fields) > 0 && isDamagedField(line) {
		r.junkAt, r.junkLines, r.gap = -1, 0, false
		r.skipped++
		return
	}
	r.junkFirst = r.junkFirst || first
	if r.junkAt < 0 {
		r.junkAt = off
	}
	r.junkLines++
	r.skipped++
}

func (r *headerReader) begin(name string, value []byte) {
	if !r.known {
		r.known = isUsual(name)
	}
	r.open = r.fits(name, len(value))
	if !r.open {
		return
	}
	r.size += len(name) + len(value) + 3
	r.fields = append(r.fields, rawField{name: name})
	if r.typeAt == 0 && strings.EqualFold(name, "Content-Type") {
		r.typeAt = len(r.fields)
	}
	r.put(value, r.limits.ValueBytes)
}

// put adds to the value of the last field as much as there is room for.
func (r *headerReader) put(b []byte, room int) {
	f := &r.fields[len(r.fields)-1]
	if f.cut {
		return
	}
	if f.cut = len(b) > room; f.cut {
		r.cut = true
		f.value = append(f.value, b[:max(0, room)]...)
		if i := bytes.LastIndexAny(f.value, ", "); i >= 0 {
			f.value = f.value[:i]
		}
		return
	}
	f.value = append(f.value, b...)
}

// fits tells whether one more field may be kept. Past the limits the first field
// of each name that decides about the message is still kept.
func (r *headerReader) fits(name string, n int) bool {
	if len(r.fields) < r.limits.HeaderFields && r.size+len(name)+n <= r.limits.HeaderBytes {
		return true
	}
	r.cut = true
	if !isEssential(name) {
		return false
	}
	if r.kept == nil {
		r.kept = map[string]bool{}
		for _, f := range r.fields {
			r.kept[strings.ToLower(f.name)] = true
		}
	}
	name = strings.ToLower(name)
	first := !r.kept[name]
	r.kept[name] = true
	return first
}

// extend joins a continuation line to the field before (RFC 5322 section 2.2.3).
func (r *headerReader) extend(line []byte) {
	if !r.open {
		return
	}
	f := &r.fields[len(r.fields)-1]
	if !isBlank(line[0]) {
		f.value = append(f.value, ' ')
	}
	room := r.limits.ValueBytes - len(f.value)
	if r.size+len(line) > r.limits.HeaderBytes && !isEssential(f.name) {
		room = 0
	}
	r.put(line, room)
	r.size += len(line) + 2
}

// isLostParameter recognises a parameter whose line lost its indentation:
// "boundary=x" behind a field that ends in ";".
func (r *headerReader) isLostParameter(line []byte) bool {
	return r.open && lostParameter(r.fields[len(r.fields)-1].value, line)
}

func lostParameter(value, line []byte) bool {
	v := bytes.TrimRight(value, " \t")
	if len(v) == 0 || v[len(v)-1] != ';' {
		return false
	}
	name, _, ok := bytes.Cut(line, []byte("="))
	name = bytes.TrimRight(name, " \t")
	return ok && len(name) > 0 && len(name) < 64 && !bytes.ContainsAny(name, " \t:;,<>\"()@")
}

// splitField splits "Name: value". A name is printable ASCII without colon
// (RFC 5322 section 2.2); blanks before the colon are forgiven.
func splitField(line []byte) (name string, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return "", nil, false
	}
	n := bytes.TrimRight(line[:i], " \t")
	for _, c := range n {
		if c <= ' ' || c > '~' {
			return "", nil, false
		}
	}
	return string(n), line[i+1:], len(n) > 0 && len(n) < maxFieldName
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// isDamagedField recognises a line that is no text, though its name is none either:
// "X-Score (all): 5".
func isDamagedField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && hasUsualPrefix(string(line[:min(i, maxFieldName)]))
}

// isMboxLine recognises the separator of mbox files (RFC 4155).
func isMboxLine(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, "> \t"), []byte("From "))
}

// isUsual tells whether a name is one that real headers have, to tell a header
// from text that happens to hold a colon.
func isUsual(name string) bool {
	switch strings.ToLower(name) {
	case "received", "return-path", "delivered-to", "authentication-results", "comments", "keywords":
		return true
	}
	return hasUsualPrefix(name) || isEssential(name)
}

func hasUsualPrefix(name string) bool {
	n := strings.ToLower(name)
	for _, p := range []string{"content-", "x-", "list-", "resent-", "arc-", "dkim-"} {
		if strings.HasPrefix(n, p) {
			return true
		}
	}
	return false
}

// isEssential names the fields that are kept even past the limits.
func isEssential(name string) bool {
	switch strings.ToLower(name) {
	case "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id",
		"in-reply-to", "references", "mime-version", "content-type", "content-disposition",
		"content-transfer-encoding", "content-id", "content-location", "importance",
		"x-priority", "priority", "sensitivity", "list-unsubscribe":
		return true
	}
	return false
}
