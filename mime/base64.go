package mime

import (
	"bytes"
	"encoding/binary"

	"github.com/segmentio/asm/base64"
)

// base64Stepper decodes base64 (RFC 2045 section 6.8): well-formed pieces with a fast
// decoder, others byte by byte. It skips other characters, accepts the URL alphabet unless
// other characters precede it in the line, and accepts missing padding. Padding ends the
// data, unless the rest of the line or the next line is base64 again: some senders encode a
// file in pieces.
type base64Stepper struct {
	clean  []byte // a piece without line breaks, after the 0 to 3 characters carried over
	carry  int
	padded bool
	ended  bool
	junk   bool // the line so far has characters that are not base64
	lost   bool // something was skipped
}

func (d *base64Stepper) done() bool { return d.ended }

func (d *base64Stepper) lossy() bool { return d.lost }

func (d *base64Stepper) step(dst, src []byte, last bool) (written, consumed int) {
	if d.padded {
		return 0, d.afterPadding(src, last)
	}
	clean := appendLines(d.clean[:d.carry], src)
	whole := len(clean) &^ 3
	if last && whole < len(clean) {
		return d.slow(dst, src, last)
	}
	n, err := base64.StdEncoding.Decode(dst, clean[:whole])
	if err != nil {
		return d.slow(dst, src, last)
	}
	d.padded = whole > 0 && clean[whole-1] == '='
	if d.padded && whole < len(clean) { // what follows padding needs its line breaks
		return d.slow(dst, src, last)
	}
	d.carry = copy(d.clean[:3], clean[whole:])
	d.junk = d.junk && bytes.IndexByte(src, '\n') < 0
	return n, len(src)
}

// appendLines appends src without its line breaks. If all lines have one length, as usual,
// their ends are found without a search. Line breaks that this misses remain.
func appendLines(dst, src []byte) []byte {
	i := 0
	for len(src) > 0 {
		dst, src = appendUsual(dst, src)
		if i == 0 || i >= len(src) || src[i] != '\n' {
			i = bytes.IndexByte(src, '\n')
		}
		if i < 0 {
			return append(dst, src...)
		}
		end := i
		if end > 0 && src[end-1] == '\r' {
			end--
		}
		dst = append(dst, src[:end]...)
		src = src[i+1:]
	}
	return dst
}

// usualLine is the length of nearly all lines (RFC 2045 section 6.8 allows no longer ones).
const usualLine = 76

// appendUsual appends the lines of usualLine characters at the beginning of src, and
// returns the rest of src. It copies them word by word: the compiler makes an assignment of a
// whole line a call, which takes half as long again.
func appendUsual(dst, src []byte) (out, rest []byte) {
	word := binary.NativeEndian
	n, room := len(dst), dst[:cap(dst)]
	for len(src) >= usualLine+2 && src[usualLine] == '\r' && src[usualLine+1] == '\n' && len(room)-n >= usualLine {
		to, from := (*[usualLine]byte)(room[n:]), (*[usualLine]byte)(src)
		word.PutUint64(to[0:], word.Uint64(from[0:]))
		word.PutUint64(to[8:], word.Uint64(from[8:]))
		word.PutUint64(to[16:], word.Uint64(from[16:]))
		word.PutUint64(to[24:], word.Uint64(from[24:]))
		word.PutUint64(to[32:], word.Uint64(from[32:]))
		word.PutUint64(to[40:], word.Uint64(from[40:]))
		word.PutUint64(to[48:], word.Uint64(from[48:]))
		word.PutUint64(to[56:], word.Uint64(from[56:]))
		word.PutUint64(to[64:], word.Uint64(from[64:]))
		word.PutUint32(to[72:], word.Uint32(from[72:]))
		n += usualLine
		src = src[usualLine+2:]
	}
	return room[:n], src
}

// slow decodes src byte by byte: to its end, or up to padding if more of the stream is
// needed to see whether data follow.
func (d *base64Stepper) slow(dst, src []byte, last bool) (written, consumed int) {
	var q quad
	out := q.decode(dst[:0], string(d.clean[:d.carry]))
	d.carry, d.padded = 0, false
	for i := 0; i < len(src); i++ {
		if src[i] != '=' || q.n < 2 {
			if !d.isJunk(src[i]) {
				out = q.add(out, src[i])
			}
			continue
		}
		out = q.flush(out)
		d.padded = true
		i += d.afterPadding(src[i+1:], last)
		if d.padded || d.ended {
			return len(out), i + 1
		}
	}
	if last {
		return len(q.flush(out)), len(src)
	}
	for i := q.n; i > 0; i-- {
		d.clean = append(d.clean[:d.carry], base64Alphabet[q.bits>>(6*(i-1))&63])
		d.carry++
	}
	return len(out), len(src)
}

// isJunk reports whether c has to be skipped although it is of the URL alphabet: hyphens
// and underscores in a line that seems to be prose.
func (d *base64Stepper) isJunk(c byte) bool {
	switch {
	case c == '\n':
		d.junk = false
	case c != '\r' && c != '=' && base64Value(c) > 63:
		d.junk = true
		d.lost = d.lost || !isBlank(c)
	}
	return d.junk && (c == '-' || c == '_')
}

// afterPadding skips to the next line that is not empty, and ends the data if that line is
// not base64.
func (d *base64Stepper) afterPadding(src []byte, last bool) (consumed int) {
	skip := 0
	for skip < len(src) && (isBlank(src[skip]) || src[skip] == '\r' || src[skip] == '\n' || src[skip] == '=') {
		skip++
	}
	line := src[skip:min(len(src), skip+1024)]
	i := bytes.IndexByte(line, '\n')
	if i < 0 && !last && len(line) < 1024 {
		return skip
	}
	if i >= 0 {
		line = line[:i]
	}
	d.padded, d.junk = false, false
	d.ended = len(line) == 0 || !isBase64Line(line)
	d.lost = d.lost || len(line) > 0 && d.ended
	return skip
}

func isBase64Line(line []byte) bool {
	line = bytes.TrimRight(line, "\r \t=")
	for _, c := range line {
		if (base64Value(c) > 63 && c != '=') || c == '-' || c == '_' {
			return false
		}
	}
	return true
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Value returns the six bits that c stands for, or 64.
func base64Value(c byte) byte {
	switch {
	case c-'A' < 26:
		return c - 'A'
	case c-'a' < 26:
		return c - 'a' + 26
	case c-'0' < 10:
		return c - '0' + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	}
	return 64
}

// quad collects base64 characters into groups of four.
type quad struct {
	bits uint32
	n    int
}

// add adds one character, and appends the bytes of a group that it completes. Characters
// that are not base64 are skipped.
func (q *quad) add(dst []byte, c byte) []byte {
	v := base64Value(c)
	if v > 63 {
		return dst
	}
	q.bits = q.bits<<6 | uint32(v)
	q.n++
	if q.n < 4 {
		return dst
	}
	q.n = 0
	return append(dst, byte(q.bits>>16), byte(q.bits>>8), byte(q.bits))
}

// flush ends a group and appends its bytes. A single character has too few bits for one.
func (q *quad) flush(dst []byte) []byte {
	switch q.n {
	case 2:
		dst = append(dst, byte(q.bits>>4))
	case 3:
		dst = append(dst, byte(q.bits>>10), byte(q.bits>>2))
	}
	q.n = 0
	return dst
}

// decode appends the bytes of s. Padding ends a group.
func (q *quad) decode(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == '=' {
			dst = q.flush(dst)
			continue
		}
		dst = q.add(dst, s[i])
	}
	return dst
}
