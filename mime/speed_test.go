package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// withAttachment is a message with size bytes attached, in lines of width.
func withAttachment(size, width int, lineEnd string) []byte {
	data := make([]byte, size)
	src := rand.NewChaCha8([32]byte{1})
	src.Read(data)
	text := base64.StdEncoding.EncodeToString(data)
	var b bytes.Buffer
	b.WriteString("From: ann@example.com\r\nTo: bob@example.com\r\nSubject: large\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n" +
		"--b\r\nContent-Type: application/octet-stream; name=large.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for len(text) > 0 {
		n := min(width, len(text))
		b.WriteString(text[:n])
		b.WriteString(lineEnd)
		text = text[n:]
	}
	b.WriteString("--b--\r\n")
	return b.Bytes()
}

func parseBytes(b testing.TB, raw []byte) *Message {
	m, err := Parse(bytes.NewReader(raw), int64(len(raw)), DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// inFile writes raw to a file, where messages lie when they are parsed.
func inFile(b *testing.B, raw []byte) *os.File {
	f, err := os.Create(filepath.Join(b.TempDir(), "message.eml"))
	if err == nil {
		_, err = f.Write(raw)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}

// BenchmarkRead merely reads the file of BenchmarkParseLarge, for comparison.
func BenchmarkRead(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	f := inFile(b, raw)
	buf := make([]byte, windowBytes)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		for off := int64(0); off < int64(len(raw)); off += windowBytes {
			if _, err := f.ReadAt(buf, off); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkParseLarge(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	f := inFile(b, raw)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(f, int64(len(raw)), DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	f := inFile(b, raw)
	m, err := Parse(f, int64(len(raw)), DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	a := m.Attachments[0]
	b.SetBytes(a.Size)
	b.ReportAllocs()
	for b.Loop() {
		if n, err := io.Copy(io.Discard, a.Open()); err != nil || n != a.Size {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseSmall(b *testing.B) {
	raw := withAttachment(4<<10, 76, "\r\n")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		parseBytes(b, raw)
	}
}

// repeated is a message that exists only as it is read: head, times lines, tail.
type repeated struct {
	head, line, tail []byte
	times            int64
}

func (r repeated) size() int64 {
	return int64(len(r.head)) + r.times*int64(len(r.line)) + int64(len(r.tail))
}

func (r repeated) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		part := r.at(off + int64(n))
		if len(part) == 0 {
			return n, io.EOF
		}
		n += copy(p[n:], part)
	}
	return n, nil
}

func (r repeated) at(off int64) []byte {
	if off < int64(len(r.head)) {
		return r.head[off:]
	}
	off -= int64(len(r.head))
	if lines := r.times * int64(len(r.line)); off >= lines {
		return r.tail[min(off-lines, int64(len(r.tail))):]
	}
	return r.line[off%int64(len(r.line)):]
}

// TestFlatMemory parses a message of 140 MB and looks at all that was allocated.
func TestFlatMemory(t *testing.T) {
	r := repeated{
		head: []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n" +
			"Content-Type: application/pdf; name=large.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
		line:  bytes.Repeat([]byte(strings.Repeat("QUJD", 19)+"\r\n"), 1000),
		tail:  []byte("--b--\r\n"),
		times: 1800,
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Parse(r, r.size(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d KB allocated for a message of %d MB", used>>10, r.size()>>20)
	}
	if got, want := m.Attachments[0].Size, r.times*1000*57; got != want {
		t.Errorf("size %d, want %d", got, want)
	}
}
