package mime

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// transfer is a Content-Transfer-Encoding (RFC 2045 section 6).
type transfer int

const (
	identity transfer = iota // 7bit, 8bit, binary, and unknown names
	transferBase64
	transferQP
	transferUU
)

var transferNoise = strings.NewReplacer("-", "", "_", "", " ", "")

// parseTransfer parses a Content-Transfer-Encoding value. It ignores quotation marks,
// comments and text after the name. ok reports whether the name is known.
func parseTransfer(v string) (t transfer, ok bool) {
	v = strings.ToLower(stripComments(v))
	v = strings.Trim(v, " \t\"';,.<>")
	if i := strings.IndexAny(v, " \t;,\"'"); i >= 0 {
		v = v[:i]
	}
	v = transferNoise.Replace(v)
	switch v {
	case "", "7bit", "8bit", "binary", "7bits", "8bits", "7", "8", "none", "plain":
		return identity, true
	case "base64", "b64", "xbase64", "b", "bas64", "base_64":
		return transferBase64, true
	case "quotedprintable", "qp", "quoteprintable", "quotedprintible", "q", "xquotedprintable":
		return transferQP, true
	case "xuuencode", "uuencode", "uuencoded", "xuuencoded", "xuue", "uue", "xuu", "uu":
		return transferUU, true
	}
	switch {
	case strings.Contains(v, "64"): // such as "mime-base64-encoded"
		return transferBase64, true
	case strings.Contains(v, "quot"), strings.Contains(v, "print"):
		return transferQP, true
	}
	return identity, false
}

// stepper decodes a stream piece by piece.
type stepper interface {
	// step decodes from src into dst, which is at least as large as src. It returns the
	// number of bytes written and consumed. Both are 0 only if it needs more of the stream,
	// which it never does at the end (last) or if src has lookAhead bytes.
	step(dst, src []byte, last bool) (written, consumed int)
	// done reports whether the rest of the stream is to be ignored.
	done() bool
	// lossy reports whether so far it has skipped more than line breaks and blanks.
	lossy() bool
}

const (
	decodeBytes = 16 << 10
	lookAhead   = 4 << 10
)

// decodedReader decodes r with a stepper.
type decodedReader struct {
	r     io.Reader
	s     stepper
	b     *decodeBuffers // nil at the end, when they are back in the pool
	in    []byte         // undecoded bytes: in[start:end]
	start int
	end   int
	out   []byte // decoded bytes not yet read
	space []byte
	eof   bool
	err   error
	lossy bool // at the end: s has skipped something
}

// decodeBuffers are the buffers of a decoder. Every part is decoded twice, and most parts
// are small: allocating new ones each time would cost more than the decoding.
type decodeBuffers struct {
	in    [decodeBytes + lookAhead]byte
	clean [decodeBytes + lookAhead + 8]byte
	space [decodeBytes + lookAhead + 64]byte
}

var decodePool = sync.Pool{New: func() any { return new(decodeBuffers) }}

// newDecoder returns a reader that decodes r, which has size bytes.
func newDecoder(r io.Reader, t transfer, size int64) io.Reader {
	if t == identity {
		return r
	}
	b := decodePool.Get().(*decodeBuffers)
	n := int(min(decodeBytes, size)) + lookAhead
	d := &decodedReader{r: r, b: b, in: b.in[:n], space: b.space[:n+64]}
	switch t {
	case transferBase64:
		d.s = &base64Stepper{clean: b.clean[: 0 : n+8]}
	case transferQP:
		d.s = qpStepper{}
	case transferUU:
		d.s = &uuStepper{}
	}
	return d
}

// release returns the buffers to the pool. A reader that is not read to its end keeps them.
func (d *decodedReader) release() {
	if d.b != nil {
		d.lossy = d.s.lossy()
		decodePool.Put(d.b)
		d.b, d.in, d.space, d.s = nil, nil, nil, nil
	}
}

func (d *decodedReader) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if len(p) >= 2*lookAhead {
			if n, err := d.next(p); n > 0 || err != nil {
				return n, err
			}
			continue
		}
		n, err := d.next(d.space)
		if err != nil {
			return 0, err
		}
		d.out = d.space[:n]
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, so that io.Copy needs no buffer of its own.
func (d *decodedReader) WriteTo(w io.Writer) (written int64, err error) {
	out := d.out
	for d.out = nil; ; {
		n, err := w.Write(out)
		written += int64(n)
		if err != nil {
			return written, err
		}
		n, err = d.next(d.space)
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		out = d.space[:n]
	}
}

// next decodes one piece into dst and returns its length, which may be 0.
func (d *decodedReader) next(dst []byte) (int, error) {
	if d.b == nil {
		return 0, io.EOF
	}
	if d.s.done() || (d.eof && d.start == d.end) {
		d.release()
		return 0, io.EOF
	}
	if d.err != nil {
		return 0, d.err
	}
	if !d.eof && d.end-d.start < lookAhead {
		d.fill()
	}
	src := d.in[d.start:d.end]
	whole := len(src) <= len(dst)
	if !whole {
		src = src[:len(dst)]
	}
	written, consumed := d.s.step(dst, src, whole && d.eof)
	d.start += consumed
	if written == 0 && consumed == 0 && !d.eof {
		d.fill()
	}
	return written, nil
}

// fill reads more of the stream behind the undecoded bytes.
func (d *decodedReader) fill() {
	d.end = copy(d.in, d.in[d.start:d.end])
	d.start = 0
	n, err := io.ReadFull(d.r, d.in[d.end:])
	d.end += n
	switch err {
	case nil:
	case io.EOF, io.ErrUnexpectedEOF:
		d.eof = true
	default:
		d.err = err
	}
}

// qpStepper decodes quoted-printable (RFC 2045 section 6.7). Invalid escapes stay.
type qpStepper struct{}

func (qpStepper) done() bool { return false }

func (qpStepper) lossy() bool { return false }

func (qpStepper) step(dst, src []byte, last bool) (written, consumed int) {
	for consumed < len(src) {
		rest := src[consumed:]
		i := bytes.IndexByte(rest, '=')
		if i < 0 {
			i = len(rest)
		}
		written += copy(dst[written:], rest[:i])
		consumed += i
		if i == len(rest) {
			break
		}
		c, n, isByte := qpEscape(rest[i:], last)
		if n == 0 {
			break
		}
		if isByte {
			dst[written] = c
			written++
		}
		consumed += n
	}
	return written, consumed
}

// qpEscape decodes the escape at the beginning of s: a byte, or a soft line break. n is its
// length, or 0 if more of the stream is needed.
func qpEscape(s []byte, last bool) (c byte, n int, isByte bool) {
	if len(s) >= 3 && isHex(s[1]) && isHex(s[2]) {
		return unhex(s[1])<<4 | unhex(s[2]), 3, true
	}
	i := 1
	for i < len(s) && isBlank(s[i]) && i < 512 {
		i++
	}
	switch {
	case i+1 < len(s) && s[i] == '\r' && s[i+1] == '\n':
		return 0, i + 2, false
	case i < len(s) && s[i] == '\n':
		return 0, i + 1, false
	case !last && len(s) < 516:
		return 0, 0, false
	case last && i == len(s):
		return 0, i, false
	}
	return '=', 1, true
}
