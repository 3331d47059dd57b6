package mime

import (
	"bytes"
	"strings"
)

const (
	delimiterBytes = maxBoundaryBytes + 64
	maxRescans     = 8 // multiparts that are read again with another boundary
)

// walker finds the tree of parts and their offsets in one pass. It keeps the open multiparts
// on a stack, so that a delimiter of an outer one ends all inner ones that were not closed.
type walker struct {
	*reporter
	src     *source
	lim     Limits
	root    *part
	header  *Header // of the message
	stack   []*frame
	leaf    *part   // the part whose content is being read, or nil
	raw     []*part // whose names are in 8-bit text without a charset of their own
	parts   int
	rescans int
	pos     int64
	stopped bool
}

// frame is an open multipart.
type frame struct {
	part        *part
	boundary    string
	closed      bool
	candidate   string // a boundary that the preamble suggests
	candidateAt int64
}

func (w *walker) walk() {
	w.root = &part{path: "message"}
	w.begin(w.root)
	for !w.stopped && len(w.stack) > 0 && w.src.err == nil {
		at := w.src.dashes(w.pos)
		if at >= w.src.size {
			if w.retryBoundary(0) {
				continue
			}
			break
		}
		w.dashLine(at)
	}
	w.endLeaf(w.src.size)
	w.unwind(0, w.src.size)
	w.convertRaw()
	w.splitUU()
}

// convertRaw converts raw 8-bit text in headers that name no charset: it is in that of the
// first text of the message.
func (w *walker) convertRaw() {
	charset := w.root.textCharset()
	if w.header.charset == "" {
		w.header.charset = charset
	}
	if charset == "" {
		return
	}
	for _, p := range w.raw {
		h, _ := readHeaderTo(w.src, p.start, p.body, w.lim, nil)
		h.charset = charset
		p.describeName(h)
	}
}

// dashLine handles the line at an offset, which begins with "--".
func (w *walker) dashLine(at int64) {
	line, next := w.src.line(at, delimiterBytes)
	level, closing := w.match(line)
	if level < 0 {
		w.noteCandidate(line, at, next)
		return
	}
	if w.retryBoundary(level + 1) {
		return
	}
	end := w.src.beforeBreak(at, w.floor())
	w.endLeaf(end)
	w.unwind(level+1, end)
	f := w.stack[level]
	w.pos = next
	if closing {
		f.closed = true
		return
	}
	f.closed = false
	if w.parts >= w.lim.Parts {
		w.takeRest(f, at)
		return
	}
	w.begin(f.part.child(next))
}

// floor returns the offset at which the content before a delimiter begins at the earliest.
func (w *walker) floor() int64 {
	if w.leaf != nil {
		return w.leaf.body
	}
	return 0
}

// match returns the level of the multipart whose delimiter line is: the innermost open one,
// or else one that was closed and goes on. level is -1 if there is none.
func (w *walker) match(line []byte) (level int, closing bool) {
	reopened := -1
	for i := len(w.stack) - 1; i >= 0; i-- {
		f := w.stack[i]
		ok, closing := isDelimiter(line, f.boundary)
		if ok && !f.closed {
			return i, closing
		}
		if ok && !closing && reopened < 0 {
			reopened = i
		}
	}
	return reopened, false
}

// isDelimiter reports whether line is "--boundary" or, closing, "--boundary--" (RFC 2046
// section 5.1.1). Blanks may follow it, and after the closing form also other text.
func isDelimiter(line []byte, boundary string) (ok, closing bool) {
	if boundary == "" || len(line) < len(boundary)+2 || string(line[2:2+len(boundary)]) != boundary {
		return false, false
	}
	rest := bytes.Trim(line[2+len(boundary):], " \t\r")
	if len(rest) == 0 {
		return true, false
	}
	if !bytes.HasPrefix(rest, []byte("--")) {
		return false, false
	}
	return len(rest) == 2 || !isWordByte(rest[2]), true
}

func isWordByte(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 26 || c == '_' || c == '-' || c == '='
}

// begin reads the header of p, and opens p as a multipart or as the leaf whose content
// follows.
func (w *walker) begin(p *part) {
	w.parts++
	if p == w.root {
		p.start = skipEmptyLines(w.src)
	}
	h, body := readHeader(w.src, p.start, w.lim, w.delimits)
	p.body, p.end = body, body
	w.describe(p, h)
	w.pos = body
	w.leaf = p
	switch {
	case p == w.root:
		w.header = h
	case p.oversized:
		w.limit(p.path, "header too large, part kept as it came")
		p.raw = true
	}
	if !p.isMultipart() {
		return
	}
	if len(w.stack) >= w.lim.Depth {
		w.limit(p.path, "nested too deep, branch kept as it came")
		p.raw = true
		return
	}
	w.leaf = nil
	w.stack = append(w.stack, &frame{part: p, boundary: p.boundary})
}

func (w *walker) describe(p *part, h *Header) {
	p.describe(h, w.reporter)
	p.defaultType(h.Count("Content-Type") > 0)
	if (h.hasRaw("Content-Type") || h.hasRaw("Content-Disposition")) && h.charset == "" {
		w.raw = append(w.raw, p)
	}
	if h.skipped > 0 {
		w.salvaged(p.path, "header lines that are no fields left out")
	}
}

// delimits reports whether line is a delimiter of an open multipart.
func (w *walker) delimits(line []byte) bool {
	level, _ := w.match(line)
	return level >= 0
}

func (w *walker) endLeaf(end int64) {
	if w.leaf != nil {
		w.leaf.end = max(end, w.leaf.body)
	}
	w.leaf = nil
}

// unwind ends the multiparts from level on. One without parts becomes plain text.
func (w *walker) unwind(level int, end int64) {
	for len(w.stack) > level {
		f := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		f.part.end = max(end, f.part.body)
		if len(f.part.children) == 0 {
			w.salvaged(f.part.path, "multipart without parts, taken as text")
			f.part.mediaType, f.part.declared = "text/plain", false
		} else if !f.closed {
			w.salvaged(f.part.path, "closing boundary missing")
		}
	}
}

// takeRest makes the rest of the message, from the delimiter at an offset on, one attachment
// that mail clients can open.
func (w *walker) takeRest(f *frame, at int64) {
	w.limit(f.part.path, "too many parts, the rest kept as one attachment")
	p := f.part.child(at)
	p.raw, p.body, p.end = true, at, w.src.size
	p.mediaType = "message/rfc822"
	p.name = "rest.eml"
	p.prefix = multipartPrefix(f.boundary)
	w.stopped = true
}

// noteCandidate notes a line in the preamble of a multipart as a candidate for its real
// boundary. If the header names no boundary, the candidate is it.
func (w *walker) noteCandidate(line []byte, at, next int64) {
	w.pos = next
	f := w.stack[len(w.stack)-1]
	if w.leaf != nil || len(f.part.children) > 0 || f.candidate != "" {
		return
	}
	b := strings.TrimRight(string(line[2:]), " \t")
	if !isBoundary(b) || !w.beginsPart(next, w.blankBetween(f.part.body, at)) {
		return
	}
	if f.boundary == "" {
		w.salvaged(f.part.path, "boundary not named, taken from the content")
		f.boundary = b
		w.pos = at
		return
	}
	f.candidate, f.candidateAt = b, at
}

// isBoundary reports whether b is likely as a boundary: signature separators ("-- ") and
// lines of dashes are not.
func isBoundary(b string) bool {
	return len(b) <= 200 && !strings.ContainsAny(b, " \t") && strings.Trim(b, "-") != ""
}

// beginsPart reports whether a part may begin at next: with a header field or, if there is
// no text before (first), with an empty line.
func (w *walker) beginsPart(next int64, first bool) bool {
	line, _ := w.src.line(next, delimiterBytes)
	if len(line) == 0 {
		return first && next < w.src.size
	}
	name, _, ok := splitField(line)
	return ok && isUsual(string(name))
}

// blankBetween reports whether there are only a few blanks and line breaks between two
// offsets.
func (w *walker) blankBetween(from, to int64) bool {
	if to-from > 64 {
		return false
	}
	b := w.src.window(from, 64)
	return len(bytes.TrimSpace(b[:min(int64(len(b)), to-from)])) == 0
}

// retryBoundary reads the innermost multipart again, with its candidate as the boundary, if
// its own boundary did not occur. It does nothing below level, and reports whether it did.
func (w *walker) retryBoundary(level int) bool {
	if len(w.stack) <= level || w.rescans >= maxRescans {
		return false
	}
	f := w.stack[len(w.stack)-1]
	if f.candidate == "" || len(f.part.children) > 0 {
		return false
	}
	w.rescans++
	w.salvaged(f.part.path, "wrong boundary named, taken from the content")
	f.boundary, f.candidate = f.candidate, ""
	w.pos = f.candidateAt
	return true
}

// skipEmptyLines returns the offset at which the header of the message begins: after empty
// lines, if a header follows them.
func skipEmptyLines(src *source) int64 {
	off := int64(0)
	for range 10 {
		line, next := src.line(off, delimiterBytes)
		if len(line) > 0 {
			name, _, ok := splitField(line)
			if ok && isUsual(string(name)) {
				return off
			}
			break
		}
		off = next
	}
	return 0
}
