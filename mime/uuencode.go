package mime

import "bytes"

// uuStepper decodes uuencoded data (POSIX uuencode): the lines between "begin" and "end",
// each of which begins with the number of its bytes.
type uuStepper struct {
	begun bool
	ended bool
	lost  bool // there is text around the data
	more  bool // there is another file behind the data
}

func (d *uuStepper) done() bool { return d.more }

func (d *uuStepper) lossy() bool { return d.lost || !d.begun }

func (d *uuStepper) step(dst, src []byte, last bool) (written, consumed int) {
	for consumed < len(src) && !d.done() {
		rest := src[consumed:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 && !last && len(rest) < lookAhead {
			break
		}
		if i < 0 {
			i = len(rest) - 1
		}
		line := bytes.TrimRight(rest[:i+1], "\r\n")
		written += d.line(dst[written:], line)
		consumed += i + 1
	}
	return written, consumed
}

func (d *uuStepper) line(dst, line []byte) int {
	switch {
	case d.ended:
		d.more = d.more || bytes.HasPrefix(line, []byte("begin "))
		d.lost = d.lost || len(bytes.TrimSpace(line)) > 0
		return 0
	case !d.begun:
		d.begun = bytes.HasPrefix(line, []byte("begin "))
		d.lost = d.lost || !d.begun && len(bytes.TrimSpace(line)) > 0
		return 0
	case bytes.Equal(bytes.TrimSpace(line), []byte("end")):
		d.ended = true
		return 0
	case len(line) == 0:
		return 0
	}
	return uuLine(dst, line[1:], int(line[0]-' ')&63)
}

// uuLine decodes n bytes. Characters that are missing at the end of line are spaces.
func uuLine(dst, line []byte, n int) int {
	at := func(i int) byte {
		if i < len(line) {
			return (line[i] - ' ') & 63
		}
		return 0
	}
	n = min(n, len(line)) // a line holds four characters for three bytes
	for i := range n {
		j := i / 3 * 4
		switch i % 3 {
		case 0:
			dst[i] = at(j)<<2 | at(j+1)>>4
		case 1:
			dst[i] = at(j+1)<<4 | at(j+2)>>2
		case 2:
			dst[i] = at(j+2)<<6 | at(j+3)
		}
	}
	return n
}
