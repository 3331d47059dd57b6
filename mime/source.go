package mime

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

const (
	windowBytes = 256 << 10 // one read of the message
	marginBytes = 4 << 10   // least bytes that a search wants in the window
)

// source reads a message forward through a sliding window, so that memory does not grow
// with the message.
type source struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	// whole is buf if it is of the pool.
	whole *[windowBytes]byte
	off   int64 // offset of buf[0] in the message
	n     int   // valid bytes in buf
	err   error // of the first read that failed; ends the walk
	// fields is the memory in which headers are read.
	fields fieldBuffer
}

func newSource(r io.ReaderAt, size int64) *source {
	s := &source{r: r, size: size}
	if size < windowBytes {
		s.buf = make([]byte, size)
		return s
	}
	s.whole = windowPool.Get().(*[windowBytes]byte)
	s.buf = s.whole[:]
	return s
}

// windowPool holds the windows of sources that have come to their end.
var windowPool = sync.Pool{New: func() any { return new([windowBytes]byte) }}

// close returns the window to the pool. What it was asked for must not be used any more.
func (s *source) close() {
	if s.whole != nil {
		windowPool.Put(s.whole)
	}
	s.whole, s.buf = nil, nil
}

// window returns the bytes from off on: at least want of them, or those up to the end of
// the message. The slice is valid until the next call.
func (s *source) window(off int64, want int) []byte {
	if s.err != nil || off >= s.size {
		return nil
	}
	have := s.off + int64(s.n)
	if off < s.off || off > have || (have < s.size && have-off < int64(want)) {
		s.fill(off)
	}
	return s.buf[min(int64(s.n), off-s.off):s.n]
}

func (s *source) fill(off int64) {
	want := min(int64(len(s.buf)), s.size-off)
	n, err := s.r.ReadAt(s.buf[:want], off)
	s.off, s.n = off, n
	if int64(n) == want {
		return
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.err = fmt.Errorf("read message at %d: %w", off, err)
}

// line returns the line at off without its line break, cut to limit bytes, and the offset of
// the next line. All CRs before the LF belong to the line break.
func (s *source) line(off int64, limit int) (line []byte, next int64) {
	limit = min(limit, windowBytes-marginBytes)
	w := s.window(off, limit+2)
	if i := bytes.IndexByte(w, '\n'); i >= 0 {
		line = bytes.TrimRight(w[:i], "\r")
		return line[:min(len(line), limit)], off + int64(i) + 1
	}
	line = bytes.Clone(w[:min(len(w), limit)])
	return bytes.TrimRight(line, "\r"), s.afterLine(off + int64(len(w)))
}

// afterLine returns the offset after the next LF, or the end of the message.
func (s *source) afterLine(off int64) int64 {
	for {
		w := s.window(off, 1)
		if len(w) == 0 {
			return off
		}
		if i := bytes.IndexByte(w, '\n'); i >= 0 {
			return off + int64(i) + 1
		}
		off += int64(len(w))
	}
}

// dashes returns the offset of the first line from off on that begins with "--", or the end
// of the message. off must be the start of a line. Searching for dashes is fast, since
// base64 has none.
func (s *source) dashes(off int64) int64 {
	prev := byte('\n')
	for {
		w := s.window(off, marginBytes)
		if len(w) == 0 {
			return s.size
		}
		i, ok := dashesIn(w, prev)
		if ok {
			return off + int64(i)
		}
		if i > 0 {
			prev = w[i-1]
		}
		if i == 0 { // a dash is the last byte of the message
			return s.size
		}
		off += int64(i)
	}
}

// dashesIn returns the index of the first "--" at the start of a line of w. prev is the byte
// before w. If there is none, it returns how many bytes of w need not be searched again.
func dashesIn(w []byte, prev byte) (int, bool) {
	for i := 0; ; {
		j := bytes.IndexByte(w[i:], '-')
		if j < 0 {
			return len(w), false
		}
		j += i
		if j > 0 {
			prev = w[j-1]
		}
		if prev == '\n' {
			if j+1 == len(w) {
				return j, false
			}
			if w[j+1] == '-' {
				return j, true
			}
		}
		i = j + 1
	}
}

// lineWith returns the offset of the first line from off on that begins with prefix, or the
// end of the message. off must be the start of a line.
func (s *source) lineWith(off int64, prefix []byte) int64 {
	if bytes.HasPrefix(s.window(off, marginBytes), prefix) {
		return off
	}
	pattern := append([]byte("\n"), prefix...)
	for {
		w := s.window(off, marginBytes)
		if i := bytes.Index(w, pattern); i >= 0 {
			return off + int64(i) + 1
		}
		if off+int64(len(w)) >= s.size || len(w) < len(pattern) {
			return s.size
		}
		off += int64(len(w) - len(prefix)) // the pattern may begin at the end of the window
	}
}

// beforeBreak returns the offset of the line break that ends at off, which belongs to the
// delimiter that follows (RFC 2046 section 5.1.1), or off if there is none. The result is
// not less than floor.
func (s *source) beforeBreak(off, floor int64) int64 {
	var tail [2]byte
	from := max(floor, off-2)
	t := tail[:max(0, off-from)]
	if len(t) == 0 {
		return floor
	}
	if from >= s.off && off <= s.off+int64(s.n) {
		copy(t, s.buf[from-s.off:])
	} else if _, err := s.r.ReadAt(t, from); err != nil && err != io.EOF {
		s.err = fmt.Errorf("read message at %d: %w", from, err)
	}
	off -= int64(len(t))
	t = bytes.TrimSuffix(t, []byte("\n"))
	return off + int64(len(bytes.TrimSuffix(t, []byte("\r"))))
}
