package smtpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"

	"graphrelay/relay/reason"
)

// lines converts a message from its form on the wire, and ends each line with CRLF. CRs
// directly before a CRLF are dropped; any other bare CR becomes a space. If it became a
// line end, whoever controls part of a header field could add another field.
//
// With dots, lines converts the data of DATA (RFC 5321 section 4.5.2): it finds the end and
// removes stuffed dots.
type lines struct {
	dots   bool
	max    int // bytes of a line, the CRLF included
	state  lineState
	length int  // of the line so far
	long   bool // a line was longer than max
	done   bool // the end of DATA was found
	bare   bare
}

// bare records which bare line endings were found.
type bare struct{ lf, cr bool }

type lineState byte

const (
	atStart lineState = iota // after CRLF, or at the beginning
	afterDot
	afterDotCR
	inText
	afterCR
	afterCRs // more than one
)

var crlf = []byte("\r\n")

// next converts raw, appends the result to out, and returns how many bytes of raw it used:
// all of them, except at the end of DATA.
func (l *lines) next(out, raw []byte) ([]byte, int) {
	whole := l.wholeLines(raw)
	out = append(out, raw[:whole]...)
	for i := whole; i < len(raw); {
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

// wholeLines returns the length of the lines at the beginning of raw that need no conversion,
// which are nearly all of nearly every message. It converts no single byte, so it is several
// times as fast as next.
func (l *lines) wholeLines(raw []byte) int {
	if l.state != atStart && l.state != inText {
		return 0
	}
	start, count, longest := 0, 0, 0
	for start < len(raw) && !(raw[start] == '.' && l.dots && (start > 0 || l.state == atStart)) {
		n := bytes.IndexByte(raw[start:], '\n')
		if n < 1 || raw[start+n-1] != '\r' {
			break
		}
		length := n - 1
		if start == 0 {
			length += l.length
		}
		longest = max(longest, length)
		start += n + 1
		count++
	}
	if count == 0 || bytes.Count(raw[:start], crlf[:1]) != count { // a CR within a line
		return 0
	}
	l.state, l.length, l.long = atStart, 0, l.long || longest > l.max-len(crlf)
	return start
}

// flush appends what is held back, at the end of a message without dots.
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

// textLength returns the number of bytes before the next CR or LF.
func textLength(p []byte) int {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		p = p[:i]
	}
	if i := bytes.IndexByte(p, '\r'); i >= 0 {
		p = p[:i]
	}
	return len(p)
}

// body reads one message: that of DATA from the connection, where it finds the end, and
// that of BDAT through go-smtp, until io.EOF.
type body struct {
	lines
	from     func(p []byte) (int, error)
	behind   func(p []byte) // takes what was read after the end of DATA; nil with BDAT
	started  func()         // called when the session has begun the message; may be nil
	raw, buf []byte
	tail     []byte // the last bytes of DATA, as they came
	err      error  // how it ended
}

var bodyPool = sync.Pool{New: func() any { return &body{raw: make([]byte, 16<<10)} }}

// newBody returns a body that is read with from. If behind is nil, it ends with from.
// Otherwise it ends with the dot of DATA, and behind is called with what was read after it.
func newBody(cfg Config, from func(p []byte) (int, error), behind func(p []byte)) *body {
	b := bodyPool.Get().(*body)
	*b = body{lines: lines{dots: behind != nil, max: cfg.Message.LineBytes}, from: from, behind: behind, raw: b.raw, buf: b.buf, tail: b.tail[:0]}
	return b
}

// read returns the next part of the message, which is valid until the next call. It
// returns io.EOF with the last part or after it.
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
	case b.dots:
		b.keepTail(b.raw[:n])
		if err == errInterrupted && wrongEnd.Match(b.tail) {
			err = fmt.Errorf("%w: %w", errInterrupted, errWrongEnd)
		}
	}
	b.err = err
	return b.buf, err
}

// tailBytes is how much of the end of DATA is looked at when a client falls silent. A client
// that took its message for ended may have sent QUIT after it.
const tailBytes = 40

func (b *body) keepTail(p []byte) {
	b.tail = append(b.tail, p[max(0, len(p)-tailBytes):]...)
	b.tail = b.tail[max(0, len(b.tail)-tailBytes):]
}

// wrongEnd finds a dot alone on its line that does not end DATA, since a line ends there with
// LF or CR alone.
var wrongEnd = regexp.MustCompile(`(^|[^\r])\n\.\r?\n|\r\n\.\n|\r\.\r`)

var errWrongEnd = errors.New("the client ended the message with a dot between line ends that are not CR LF; only CR LF . CR LF ends DATA (RFC 5321 section 4.1.1.4), so have the client send CR LF")

// copyTo writes the message to w. It fails if that takes more than most bytes, or if a line
// is too long.
func (b *body) copyTo(w io.Writer, most int64) (size int64, err error) {
	for {
		text, end := b.read()
		size += int64(len(text))
		switch {
		case size > most:
			return 0, tooLarge(most)
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

// finish reads the message to its end, so that what follows is read as commands, and
// releases b. It reports whether the message had an end.
func (b *body) finish() (ended bool) {
	for b.err == nil {
		_, _ = b.read()
	}
	ended = b.err == io.EOF
	b.from, b.behind, b.started = nil, nil, nil
	bodyPool.Put(b)
	return ended
}

// checkLines counts bare line endings, and returns a refusal if the listener rejects them.
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
