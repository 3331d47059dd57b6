package smtpd

import (
	"bytes"
	"io"
)

// LineEndings is what a listener does with a CR or LF that is not part of a CRLF,
// which RFC 5321 section 2.3.8 forbids.
type LineEndings string

// The choices for bare line endings. Neither ever ends a message: that does the five
// bytes CRLF.CRLF alone, whoever reads the message.
const (
	LineEndingsNormalize LineEndings = "normalize" // LF becomes CRLF, CR a space
	LineEndingsReject    LineEndings = "reject"
)

// lines reads a message as it comes over the wire and makes each of its lines end with
// CRLF. A CR directly before a CRLF is dropped, any other bare CR becomes a space: a
// line that ends there would let whoever controls a part of a header field add another
// field.
//
// With dots it reads the body of DATA (RFC 5321 section 4.5.2): it finds the end, takes
// the stuffed dots away, and stuffs those of the lines that it has made. What it gives
// out is then read alike by every reader; go-smtp's misses the end after CR CR LF, and
// loses a CR after a dot.
type lines struct {
	dots  bool
	state lineState
	open  bool // what was given out last did not end its line
	done  bool // the end of the data was found
	bare  bare
}

// bare tells which bare line endings were found.
type bare struct{ lf, cr bool }

type lineState byte

const (
	atStart lineState = iota // behind CRLF, or at the beginning
	afterDot
	afterDotCR
	inText
	afterCR
	afterCRs // more than one
)

var crlf = []byte("\r\n")

// next appends what raw stands for to out, and returns how much of raw belongs to the
// message: all of it, but at the end of the data.
func (l *lines) next(out, raw []byte) ([]byte, int) {
	for i := 0; i < len(raw); {
		c := raw[i]
		switch l.state {
		case atStart:
			l.state = inText
			if c == '.' && l.dots {
				l.state = afterDot
				i++
			}
		case afterDot:
			l.state = inText
			if c == '\r' {
				l.state = afterDotCR
				i++
			}
		case afterDotCR:
			if c == '\n' {
				l.done = true
				return append(out, ".\r\n"...), i + 1
			}
			l.state = afterCR
		case afterCR, afterCRs:
			switch {
			case c == '\n':
				l.bare.cr = l.bare.cr || l.state == afterCRs
				out, l.state = l.end(out), atStart
				i++
			case c == '\r':
				l.state = afterCRs
				i++
			default:
				out, l.state = l.strayCR(out), inText
			}
		case inText:
			switch c {
			case '\r':
				l.state = afterCR
				i++
			case '\n':
				l.bare.lf = true
				out = l.end(out)
				i++
			default:
				n := textLength(raw[i:])
				out = l.text(out, raw[i:i+n])
				i += n
			}
		}
	}
	return out, len(raw)
}

// flush gives out what waited for more to come, at the end of a message without dots.
func (l *lines) flush(out []byte) []byte {
	if l.state == afterCR || l.state == afterCRs {
		out, l.state = l.strayCR(out), inText
	}
	return out
}

func (l *lines) text(out, text []byte) []byte {
	if l.dots && !l.open && text[0] == '.' {
		out = append(out, '.')
	}
	l.open = true
	return append(out, text...)
}

func (l *lines) end(out []byte) []byte {
	l.open = false
	return append(out, crlf...)
}

func (l *lines) strayCR(out []byte) []byte {
	l.bare.cr = true
	return l.text(out, []byte{' '})
}

// textLength is the number of bytes before the next CR or LF.
func textLength(p []byte) int {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		p = p[:i]
	}
	if i := bytes.IndexByte(p, '\r'); i >= 0 {
		p = p[:i]
	}
	return len(p)
}

// chunks reads the body of BDAT, whose end go-smtp finds by its length.
type chunks struct {
	lines
	r        io.Reader
	raw, buf []byte
	out      []byte // of buf, not read yet
	err      error  // of r, once out is read
}

func newChunks(r io.Reader) *chunks { return &chunks{r: r, raw: make([]byte, 16<<10)} }

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		var n int
		n, c.err = c.r.Read(c.raw)
		c.buf, _ = c.next(c.buf[:0], c.raw[:n])
		if c.err == io.EOF {
			c.buf = c.flush(c.buf)
		}
		c.out = c.buf
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}
