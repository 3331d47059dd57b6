package mime

import (
	"bytes"
	"strings"
)

// maxFieldName bounds a field's name. A line has at most 998 bytes (RFC 5322 section
// 2.1.1).
const maxFieldName = 1000

// headerReader collects the fields of one header block, line by line. Junk is a line that
// is not a field.
type headerReader struct {
	*Header
	read      fieldBuffer
	size      int             // bytes of the fields
	open      bool            // the next line may continue the last field
	lastCut   bool            // the value of the last field was cut at a limit
	started   bool            // there was a line
	junkFirst bool            // the first line is junk
	known     bool            // there was a field with a usual name
	kept      map[string]bool // names of the fields, in lower case; nil until a limit is exceeded
	junkAt    int64           // offset of the first junk line after the last field, or -1
	junkLines int             // number of junk lines after the last field
	gap       bool            // the line before consists of blanks
	typeAt    int             // number of the Content-Type field, from 1; 0 if there is none
	boundary  *string         // of the Content-Type; nil until it is needed
}

// readHeader parses the header at off, and returns it with the offset of the body. stop
// reports whether a line that begins with "--" is a delimiter, which ends the entity; it may
// be nil.
func readHeader(src *source, off int64, lim Limits, stop func([]byte) bool) (*Header, int64) {
	return readHeaderTo(src, off, src.size, lim, stop)
}

// readHeaderTo is readHeader for a header that ends at the offset end, if not before.
func readHeaderTo(src *source, off, end int64, lim Limits, stop func([]byte) bool) (*Header, int64) {
	r := &headerReader{Header: &Header{limits: lim}, read: src.fields.empty(), junkAt: -1}
	pos, blank := off, false
	for pos < end && src.err == nil {
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
	src.fields = r.read
	body, ok := r.finish(off, pos, blank && !r.endsAt(src, pos, stop))
	if !ok {
		return &Header{limits: lim}, off
	}
	r.fields = r.read.take()
	r.findCharset()
	return r.Header, body
}

// endsAt reports whether the entity ends with a header that has junk, which then is its
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

// finish decides where the body begins, and whether there is a header before it. A block without
// fields is not a header. A junk line is skipped, but several at the end, or one without an empty
// line and a body after it (blank), are the body, whose empty line was lost.
func (r *headerReader) finish(off, pos int64, blank bool) (body int64, ok bool) {
	if r.read.len() == 0 && !r.junkFirst {
		return pos, true
	}
	if r.read.len() == 0 || (r.junkFirst && !r.known) {
		return off, false
	}
	if r.junkAt >= 0 && (!blank || r.junkLines > 1 || r.gap) {
		return r.junkAt, true
	}
	return pos, true
}

// add adds the line at off.
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

// delimits reports whether line is a delimiter with the boundary that the header itself
// names: the empty line before the parts was lost.
func (r *headerReader) delimits(line []byte) bool {
	if r.typeAt == 0 {
		return false
	}
	if r.boundary == nil { // the field is complete: no line that begins with "--" continues it
		v := decodeStructure(guessText(r.read.value(r.typeAt - 1)))
		b := boundaryOf(v, parseParams(v))
		r.boundary = &b
	}
	ok, _ := isDelimiter(line, *r.boundary)
	return ok
}

// skip skips a line that is not a field.
func (r *headerReader) skip(line []byte, off int64, first bool) {
	r.open = false
	if first && isMboxLine(line) {
		return
	}
	if r.read.len() > 0 && isDamagedField(line) {
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

// begin adds a field, if the limits allow.
func (r *headerReader) begin(name, value []byte) {
	if !r.known {
		r.known = isUsual(string(name))
	}
	r.open = r.fits(name, len(value))
	if !r.open {
		return
	}
	r.size += len(name) + len(value) + 3
	r.read.begin(name)
	r.lastCut = false
	if r.typeAt == 0 && bytes.EqualFold(name, []byte("Content-Type")) {
		r.typeAt = r.read.len()
	}
	r.put(value, r.limits.ValueBytes)
}

// put appends b to the value of the last field, or as much of it as fits into room bytes: the
// value is then cut between words, if there are any.
func (r *headerReader) put(b []byte, room int) {
	if r.lastCut {
		return
	}
	if r.lastCut = len(b) > room; !r.lastCut {
		r.read.append(b)
		return
	}
	r.cut = true
	r.read.append(b[:max(0, room)])
	if i := bytes.LastIndexAny(r.read.last(), ", "); i >= 0 {
		r.read.cutLast(i)
	}
}

// fits reports whether one more field is kept. Beyond the limits only the first field of
// each essential name is.
func (r *headerReader) fits(name []byte, n int) bool {
	if r.read.len() < r.limits.HeaderFields && r.size+len(name)+n <= r.limits.HeaderBytes {
		return true
	}
	r.cut = true
	lower := strings.ToLower(string(name))
	if !isEssential(lower) {
		return false
	}
	if r.kept == nil {
		r.kept = map[string]bool{}
		for i := range r.read.len() {
			r.kept[strings.ToLower(string(r.read.name(i)))] = true
		}
	}
	first := !r.kept[lower]
	r.kept[lower] = true
	return first
}

// extend appends a continuation line to the last field (RFC 5322 section 2.2.3).
func (r *headerReader) extend(line []byte) {
	if !r.open {
		return
	}
	if !isBlank(line[0]) {
		r.read.append([]byte(" "))
	}
	room := r.limits.ValueBytes - len(r.read.last())
	if r.size+len(line) > r.limits.HeaderBytes && !isEssential(string(r.read.name(r.read.len()-1))) {
		room = 0
	}
	r.put(line, room)
	r.size += len(line) + 2
}

// isLostParameter reports whether line is a parameter that lost its indentation, such as
// "boundary=x" after a field that ends with ";".
func (r *headerReader) isLostParameter(line []byte) bool {
	return r.open && lostParameter(r.read.last(), line)
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

// splitField splits "Name: value". The name must be printable ASCII (RFC 5322 section 2.2).
// Blanks before the colon are accepted.
func splitField(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil, false
	}
	n := bytes.TrimRight(line[:i], " \t")
	for _, c := range n {
		if c <= ' ' || c > '~' {
			return nil, nil, false
		}
	}
	return n, line[i+1:], len(n) > 0 && len(n) < maxFieldName
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// isDamagedField reports whether line was meant as a field although its name is not valid,
// such as "X-Score (all): 5".
func isDamagedField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && hasUsualPrefix(string(line[:min(i, maxFieldName)]))
}

// isMboxLine reports whether line is a separator of mbox files (RFC 4155).
func isMboxLine(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, "> \t"), []byte("From "))
}

// isUsual reports whether headers usually have fields of this name. It distinguishes headers
// from text with a colon in it.
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

// isEssential reports whether a field of this name is kept even beyond the limits.
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
