package smtpd

import (
	"bytes"
	"io"
	"sync"

	"graphrelay/relay/reason"
)

// lines reads a message as it comes over the wire and makes each of its lines end with
// CRLF. A CR directly before a CRLF is dropped, any other bare CR becomes a space: a
// line that ends there would let whoever controls a part of a header field add another
// field.
//
// With dots it reads the body of DATA (RFC 5321 section 4.5.2): it finds the end, and
// takes the stuffed dots away.
type lines struct {
	dots   bool
	max    int // bytes of a line, the CRLF included
	state  lineState
	length int  // of the line so far
	long   bool // a line was longer than max
	done   bool // the end of the data was found
	bare   bare
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
				return out, i + 1
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
	l.length += len(text)
	l.long = l.long || l.length > l.max-len(crlf)
	return append(out, text...)
}

func (l *lines) end(out []byte) []byte {
	l.length = 0
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

// body reads one message.
//
// That of DATA it takes from the connection, past go-smtp, whose own reader misses the
// end after CR CR LF, loses a CR after a dot, and takes a message that is exactly as
// large as it may be for too large. That of BDAT comes through go-smtp, which finds its
// end by the lengths of the chunks.
type body struct {
	lines
	from     func(p []byte) (int, error)
	behind   func(p []byte) // takes what came behind the end of DATA; nil with BDAT
	raw, buf []byte
	err      error // how it ended
}

var bodyPool = sync.Pool{New: func() any { return &body{raw: make([]byte, 16<<10)} }}

// newBody returns the body that from reads, and that ends with from, or, where behind is
// given, with the dot of DATA; behind is then given what was read past it.
func newBody(cfg Config, from func(p []byte) (int, error), behind func(p []byte)) *body {
	b := bodyPool.Get().(*body)
	*b = body{lines: lines{dots: behind != nil, max: cfg.Message.LineBytes}, from: from, behind: behind, raw: b.raw, buf: b.buf}
	return b
}

// read returns what comes next of the message, until the next call; with it, or later,
// io.EOF.
func (b *body) read() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	n, err := b.from(b.raw)
	var used int
	b.buf, used = b.next(b.buf[:0], b.raw[:n])
	switch {
	case b.done:
		b.behind(b.raw[used:n])
		err = io.EOF
	case err == io.EOF:
		b.buf = b.flush(b.buf)
	}
	b.err = err
	return b.buf, err
}

// copyTo writes the message to w, if it has at most most bytes as it is written.
func (b *body) copyTo(w io.Writer, most int64) (size int64, err error) {
	for {
		text, end := b.read()
		size += int64(len(text))
		switch {
		case size > most:
			return 0, errTooLarge
		case b.long:
			return 0, errLineTooLong
		}
		if _, err := w.Write(text); err != nil {
			return 0, err
		}
		if end == io.EOF {
			return size, nil
		}
		if end != nil {
			return 0, end
		}
	}
}

// finish reads the message to its end, for the sake of what follows it: the client hears
// nothing before. It says whether there was one.
func (b *body) finish() (whole bool) {
	for b.err == nil {
		_, _ = b.read()
	}
	whole = b.err == io.EOF
	b.from, b.behind = nil, nil
	bodyPool.Put(b)
	return whole
}

// checkLines refuses bare line endings where the listener does, and counts them.
func (s *session) checkLines(id string, found bare) error {
	cfg := s.server.cfg
	action := "normalized"
	if cfg.Leniency.LineEndings == LineEndingsReject {
		action = "rejected"
	}
	name := ""
	if found.cr {
		name = "CR"
		s.server.metrics.bare.WithLabelValues(cfg.Name, "cr", action).Inc()
	}
	if found.lf {
		name = "LF"
		s.server.metrics.bare.WithLabelValues(cfg.Name, "lf", action).Inc()
	}
	switch {
	case name == "":
		return nil
	case action == "normalized":
		s.log.Info("line endings normalized", "id", id, "lf", found.lf, "cr", found.cr)
		return nil
	}
	return &Refusal{554, [3]int{5, 6, 0}, reason.Content, "The message has a bare " + name + "; end each line with CR LF, or have the administrator set line_endings: normalize"}
}
