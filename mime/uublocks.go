package mime

import (
	"bytes"
	"strings"
)

// uuBlock is a file that uuencode wrote into a text: "begin 644 name", the data, and "end",
// or with "begin-base64" and "====" (POSIX uuencode).
type uuBlock struct {
	begin    int64 // offset of the begin line
	data     int64 // offset after it
	dataEnd  int64
	end      int64 // offset after the block
	name     []byte
	base64   bool
	complete bool
}

// splitUU makes attachments of the uuencoded files in the text of a message without
// MIME-Version, as Exchange does. In a MIME message they are text.
func (w *walker) splitUU() {
	p := w.root
	if w.header.Count("MIME-Version") > 0 || len(p.children) > 0 || p.raw || p.attachment || p.name != "" ||
		p.mediaType != "text/plain" || p.transfer != identity {
		return
	}
	text, at := p.body, p.body // the text since the last block, and where the search goes on
	for {
		begin := w.src.lineWith(at, []byte("begin"))
		if begin >= w.src.size {
			break
		}
		block, ok := w.readBlock(begin)
		at = block.end
		if !ok {
			continue
		}
		if w.parts+2 > w.lim.Parts {
			w.limit(p.path, "too many uuencoded files, the rest kept as text")
			break
		}
		w.addText(text, begin)
		w.addBlock(block)
		text = block.end
	}
	if len(p.children) == 0 {
		return
	}
	w.addText(text, p.end)
	p.mediaType = "multipart/mixed"
	w.mapped(p.path, "uuencoded files in the text made attachments")
}

// addText adds a text of the root as a part, unless it is blank.
func (w *walker) addText(from, to int64) {
	if from >= to || w.blankBetween(from, to) {
		return
	}
	c := w.root.child(from)
	path := c.path
	*c = *w.root
	c.path, c.parent, c.children = path, w.root, nil
	c.start, c.body, c.end = from, from, to
	w.parts++
}

func (w *walker) addBlock(b uuBlock) {
	c := w.root.child(b.data)
	c.body, c.end = b.begin, b.end
	c.mediaType, c.transfer, c.attachment = "application/octet-stream", transferUU, true
	if b.base64 {
		c.body, c.end, c.transfer = b.data, b.dataEnd, transferBase64
	}
	c.name = keep(decodeText(headerText(w.root.charset, b.name)), 4*maxNameBytes)
	w.parts++
	if !b.complete {
		w.salvaged(c.path, "uuencoded file without its end")
	}
}

// readBlock reads the block whose begin line may be at an offset. If there is none, its end
// is where the search goes on.
func (w *walker) readBlock(at int64) (b uuBlock, ok bool) {
	line, next := w.src.line(at, delimiterBytes)
	b = uuBlock{begin: at, data: next, end: next}
	if b.name, b.base64, ok = parseBegin(line); !ok {
		return b, false
	}
	last, isLine := "end", isUULine
	if b.base64 {
		last, isLine = "====", isFullBase64Line
	}
	lines, full := 0, 0 // of data
	for {
		b.dataEnd = b.end
		line, next = w.src.line(b.end, delimiterBytes)
		if b.complete = string(bytes.TrimRight(line, " \t")) == last; b.complete {
			b.end = next
			return b, full > 0 || lines == 0
		}
		valid, data, isFull := isLine(line)
		if !valid || b.end >= w.src.size {
			return b, full > 1 || full == 1 && b.end >= w.src.size
		}
		if data {
			lines++
		}
		if isFull {
			full++
		}
		b.end = next
	}
}

// parseBegin parses "begin 644 name".
func parseBegin(line []byte) (name []byte, base64, ok bool) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	mode, name, ok := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	name = bytes.TrimSpace(name)
	base64 = string(word) == "begin-base64"
	if !ok || len(name) == 0 || !base64 && string(word) != "begin" {
		return nil, false, false
	}
	isMode := len(mode) >= 3 && len(mode) <= 6 && len(bytes.Trim(mode, "01234567")) == 0
	return bytes.Clone(name), base64, isMode
}

// isUULine reports whether line can be one of uuencoded data, whether it has some, and
// whether these are all there. Blanks at the end of a line may have been removed, and some
// encoders add a character.
func isUULine(line []byte) (valid, data, full bool) {
	if len(line) == 0 {
		return true, false, false
	}
	for _, c := range line {
		if c < ' ' || c > '`' {
			return false, false, false
		}
	}
	n := int(line[0]-' ') & 63
	want := 1 + (n+2)/3*4
	return len(line) <= want+2, n > 0, n > 0 && len(line) >= want-3
}

func isFullBase64Line(line []byte) (valid, data, full bool) {
	ok := len(line) > 0 && strings.Trim(string(line), "=") != "" && isBase64Line(line)
	return ok, ok, ok && len(line)%4 == 0
}
