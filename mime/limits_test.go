package mime

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const plainTop = "From: ann@example.com\r\nSubject: limits\r\n"

// deepNesting is n multiparts, one inside the other.
func deepNesting(n int) []byte {
	var b bytes.Buffer
	b.WriteString(plainTop)
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\r\n\r\ninnermost\r\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.Bytes()
}

func manyParts(n int) []byte {
	return []byte(plainTop + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", n))
}

func manyFields(bytes int) []byte {
	return []byte(plainTop + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" +
		strings.Repeat("a:\r\n", bytes/4) + "\r\nthe text\r\n--b\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n")
}

func longComment(n int) []byte {
	return []byte(plainTop + "References: <a@example.com> " + strings.Repeat("(", n/2) + strings.Repeat(")", n/2) + "\r\n\r\ntext\r\n")
}

// hostile are inputs made to cost time or memory, their size divided by div.
func hostile(div int) map[string][]byte {
	value := func(name, unit string) []byte {
		return []byte(strings.Repeat(name+": "+strings.Repeat(unit, 60000/len(unit))+"\r\n", 4) + "\r\n\r\n")
	}
	part := func(head, unit string) []byte {
		return []byte(plainTop + head + "\r\n\r\n" + strings.Repeat(unit, 8<<20/div/len(unit)))
	}
	many := strings.Builder{}
	for i := range 99 {
		fmt.Fprintf(&many, "Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n", strings.Repeat("a", i+1), strings.Repeat("a", i+1))
	}
	wrong := strings.Builder{}
	for i := range 99 {
		fmt.Fprintf(&wrong, "Content-Type: multipart/mixed; boundary=x%d\r\n\r\n--y%d\r\n", i, i)
	}
	return map[string][]byte{
		"nesting":             deepNesting(10000),
		"parts":               manyParts(5000000 / div),
		"fields":              manyFields(35 << 20 / div),
		"top fields":          []byte(strings.Repeat("a:\r\n", 8<<20/div)),
		"essential fields":    []byte(strings.Repeat("to:a\r\n", 6<<20/div)),
		"references comment":  longComment(300 << 10),
		"references":          value("References", "<"),
		"address quotes":      value("To", `"a"`),
		"address open quotes": value("To", `"`),
		"address comments":    value("To", "(a)"),
		"address open":        value("To", "("),
		"address angles":      value("To", "<"),
		"address commas":      value("To", "a,"),
		"address words":       value("To", "=?a?q?"),
		"address ats":         value("To", "a@"),
		"address colons":      value("From", "a:"),
		"words":               value("Subject", "=?a?q?"),
		"words whole":         value("Subject", "=?utf-8?q?a?="),
		"words q":             value("Subject", "=?=?"),
		"one header line":     []byte("Subject: " + strings.Repeat("x", 32<<20/div)),
		"params":              part("Content-Type: text/plain; "+strings.Repeat("a*0=b;", 10000), "x"),
		"params quotes":       part("Content-Type: text/plain; name="+strings.Repeat(`"a `, 20000), "x"),
		"params blanks":       part("Content-Type: text/plain; name="+strings.Repeat(" a", 30000), "x"),
		"params open":         part("Content-Type: text/plain; charset="+strings.Repeat("(", 60000), "x"),
		"dashes":              part("Content-Type: multipart/mixed; boundary=b", "-"),
		"dash lines":          part("Content-Type: multipart/mixed; boundary=b", "--a\r\n"),
		"dash lines nested":   []byte(plainTop + many.String() + strings.Repeat("--"+strings.Repeat("a", 100)+"x\r\n", 100000/div)),
		"wrong boundaries":    []byte(plainTop + wrong.String() + strings.Repeat("x\r\n", 3<<20/div)),
		"base64 padding":      part("Content-Type: a/b\r\nContent-Transfer-Encoding: base64", "YQ==\r\n"),
		"base64 junk":         part("Content-Type: a/b\r\nContent-Transfer-Encoding: base64", "\x00Y"),
		"qp equals":           part("Content-Type: a/b\r\nContent-Transfer-Encoding: quoted-printable", "= "),
		"uu lines":            part("Content-Type: a/b\r\nContent-Transfer-Encoding: uuencode", "begin 644 a\r\n"),
		"uu begins":           []byte(plainTop + "\r\n" + strings.Repeat("begin 644 a\r\n", 8<<20/div/13)),
		"uu blocks":           []byte(plainTop + "\r\n" + strings.Repeat("begin 644 a\r\n`\r\nend\r\n", 8<<20/div/21)),
		"uu unended":          []byte(plainTop + "\r\n" + strings.Repeat("begin 644 a\r\n`\r\n!\r\nx\r\n", 8<<20/div/22)),
		"name comments":       part("Content-Type: a/b; name=a"+strings.Repeat("(", 30000)+strings.Repeat(")", 30000), "x"),
		"name comment list":   part("Content-Type: a/b; name=a"+strings.Repeat("()", 30000), "x"),
		"type words":          part("Content-Type: "+strings.Repeat(";=?a?q?", 9000), "x"),
		"raw names":           []byte(plainTop + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: a/b; name=\xe9\r\n\r\n", 1000) + "--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xe9\r\n"),
		"raw names unended":   []byte(plainTop + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nhi\r\n" + strings.Repeat("--b\r\nContent-Type: a/b; name=\xe9\r\n", 998) + strings.Repeat("x\r\n", 32<<20/div/3)),
		"params quotes open":  part("Content-Type: a/b; "+strings.Repeat(`x="a"b `, 8000), "x"),
		"params words open":   part("Content-Type: a/b; "+strings.Repeat("a (", 20000), "x"),
		"html cid values":     part("Content-Type: text/html", "=cid:"),
		"html cids":           part("Content-Type: text/html", "cid:"),
		"html metas":          part("Content-Type: text/html", "<meta"),
		"html tags":           []byte(plainTop + "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat(`<a b="c" `, 300000/div) + "\r\n--b\r\nContent-Type: image/png\r\nContent-Location: x\r\n\r\nx\r\n--b--\r\n"),
		"flowed quotes":       part("Content-Type: text/plain; format=flowed", "> \n"),
		"utf-7":               part("Content-Type: text/plain; charset=utf-7", "+A"),
	}
}

// TestHostile reads inputs that are made to be costly and compares the heap in use
// with what the limits allow. Time is left to the benchmark.
func TestHostile(t *testing.T) {
	for name, raw := range hostile(16) {
		t.Run(name, func(t *testing.T) {
			before := heap()
			in := &countedReads{r: bytes.NewReader(raw)}
			m, err := Parse(in, int64(len(raw)), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if most := 8*int64(len(raw)) + 512<<20/16; in.bytes > most { // each part's window may be read anew
				t.Errorf("%d bytes were read of %d", in.bytes, len(raw))
			}
			if used := heap() - before; used > 64<<20 {
				t.Errorf("%d MB of heap in use", used>>20)
			}
			for _, a := range m.Attachments {
				if n, err := io.Copy(io.Discard, a.Open()); err != nil || n != a.Size {
					t.Fatalf("%s: %d bytes, want %d (%v)", a.Name, n, a.Size, err)
				}
			}
			runtime.KeepAlive(m)
		})
	}
}

// countedReads counts the bytes that are read.
type countedReads struct {
	r     io.ReaderAt
	bytes int64
}

func (c *countedReads) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func BenchmarkHostile(b *testing.B) {
	for name, raw := range hostile(1) {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bytes.NewReader(raw), int64(len(raw)), DefaultLimits()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestLimits checks that what exceeds a limit is kept as one attachment and named.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		raw   []byte
		where string
		size  int64
	}{
		{"depth", deepNesting(150), "1", 0},
		{"parts", manyParts(2000), "1", 0},
		{"part header", manyFields(1 << 20), "1", 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(bytes.NewReader(c.raw), int64(len(c.raw)), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Attachments) == 0 || m.Attachments[0].ContentType != "message/rfc822" {
				t.Fatalf("no message among the attachments: %+v", m.Attachments)
			}
			a := m.Attachments[0]
			if !strings.HasSuffix(a.Name, ".eml") || a.Size < c.size {
				t.Errorf("attachment %q of %d bytes", a.Name, a.Size)
			}
			readAttachment(t, a)
			if !hasNote(m, noteLimit) {
				t.Errorf("no limit in the report: %+v", m.Report)
			}
		})
	}
}

// TestTinyLimits reads all golden messages within next to nothing.
func TestTinyLimits(t *testing.T) {
	files, _ := filepath.Glob("testdata/golden/*.eml")
	for _, lim := range []Limits{{}, {1, 1, 1, 1, 1, 1}, smallLimits()} {
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(bytes.NewReader(raw), int64(len(raw)), lim)
			if err != nil {
				t.Fatal(err)
			}
			checkMessage(t, m)
		}
	}
}

// TestRestOpens checks that what was cut off past the parts limit is a message.
func TestRestOpens(t *testing.T) {
	lim := DefaultLimits()
	lim.Parts = 3
	raw := plainTop + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b\r\nContent-Type: a/b; name=four\r\n\r\nfour\r\n--b--\r\n"
	m, err := Parse(strings.NewReader(raw), int64(len(raw)), lim)
	if err != nil || len(m.Attachments) != 1 {
		t.Fatalf("%v, %d attachments, want 1", err, len(m.Attachments))
	}
	rest := readAttachment(t, m.Attachments[0])
	m, err = Parse(bytes.NewReader(rest), int64(len(rest)), lim)
	if err != nil || m.Text != "three" || len(m.Attachments) != 1 || m.Attachments[0].Name != "four" {
		t.Errorf("%v, text %q, attachments %+v", err, m.Text, m.Attachments)
	}
}

func TestLargeBody(t *testing.T) {
	lim := DefaultLimits()
	lim.BodyBytes = 100
	html := "<p>" + strings.Repeat("long ", 100) + "</p>"
	raw := plainTop + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nshort\r\n--b\r\nContent-Type: text/html\r\n\r\n" + html + "\r\n--b--\r\n"
	m, err := Parse(strings.NewReader(raw), int64(len(raw)), lim)
	if err != nil {
		t.Fatal(err)
	}
	if m.Body.HTML || !strings.HasPrefix(m.Body.Content, "short\r\n[The text") || !hasNote(m, noteLimit) {
		t.Errorf("body %+v, report %+v", m.Body, m.Report)
	}
	if len(m.Attachments) != 1 || m.Attachments[0].Name != "message.html" || string(readAttachment(t, m.Attachments[0])) != html {
		t.Errorf("attachments %+v", m.Attachments)
	}
}

func TestLargeTopHeader(t *testing.T) {
	raw := strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 1000) +
		"Subject: behind the limit\r\nFrom: ann@example.com\r\nContent-Type: text/html\r\n\r\n<p>text</p>\r\n"
	m, err := Parse(strings.NewReader(raw), int64(len(raw)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "behind the limit" || len(m.From) != 1 || !m.Body.HTML || !hasNote(m, noteLimit) {
		t.Errorf("subject %q, from %v, body %+v", m.Subject, m.From, m.Body)
	}
	if len(m.Fields) > 400 {
		t.Errorf("%d fields kept", len(m.Fields))
	}
}

func hasNote(m *Message, kind string) bool {
	for _, n := range m.Report.Notes {
		if n.Kind == kind {
			return true
		}
	}
	return false
}
