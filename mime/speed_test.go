package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
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

func BenchmarkRead(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	buf := make([]byte, windowBytes)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := io.CopyBuffer(io.Discard, onlyReader{bytes.NewReader(raw)}, buf); err != nil {
			b.Fatal(err)
		}
	}
}

type onlyReader struct{ io.Reader }

func (r onlyReader) Read(p []byte) (int, error) { return r.Reader.Read(p) }

func BenchmarkParseLarge(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		parseBytes(b, raw)
	}
}

func BenchmarkOpen(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	a := parseBytes(b, raw).Attachments[0]
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

// TestFlatMemory reads a message of 140 MB and compares the heap it leaves in use.
func TestFlatMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("140 MB")
	}
	raw := withAttachment(100<<20, 76, "\r\n")
	before := heap()
	m := parseBytes(t, raw)
	if used := heap() - before; used > 2<<20 {
		t.Errorf("%d KB of heap in use for a message of %d MB", used>>10, len(raw)>>20)
	}
	if m.Attachments[0].Size != 100<<20 {
		t.Errorf("size %d, want %d", m.Attachments[0].Size, 100<<20)
	}
}
