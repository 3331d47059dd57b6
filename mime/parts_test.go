package mime

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"html"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode/utf32"

	xunicode "golang.org/x/text/encoding/unicode"
)

var (
	partsMessages = flag.Int("parts.messages", 3000, "messages that TestParts generates")
	partsSeed     = flag.Uint64("parts.seed", 0, "seed of TestParts; 0 is a new one each time")
)

// TestParts generates messages whose parts are text or binary data under any type,
// disposition, name and encoding, and wants the bytes of each part: as an attachment, or as
// text that says the same.
func TestParts(t *testing.T) {
	seed := *partsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-parts.seed=%d", seed)
	g := &partsGenerator{Rand: rand.New(rand.NewPCG(seed, 0))}
	for i := range *partsMessages {
		raw, parts := g.message()
		if checkParts(t, raw, parts); t.Failed() {
			t.Fatalf("message %d:\n%q", i, raw)
		}
	}
}

// FuzzParts puts one part with given content under a given type, disposition and encoding
// beside a text.
func FuzzParts(f *testing.F) {
	g := &partsGenerator{Rand: rand.New(rand.NewPCG(1, 2))}
	for i := range 200 {
		f.Add(g.content(), pick(g, partTypes), pick(g, partDispositions), byte(i))
	}
	f.Fuzz(func(t *testing.T, content []byte, mediaType, disposition string, encoding byte) {
		if strings.Contains(strings.ToLower(decodeText(mediaType)), "charset") {
			return
		}
		p := generatedPart{content: content, encoding: int(encoding % 4)}
		p.field("Content-Type", mediaType)
		p.field("Content-Disposition", disposition)
		entity := p.entity(rand.New(rand.NewPCG(uint64(encoding), 0)))
		if hasDashLine(entity) || len(entity) > 100<<10 {
			return
		}
		raw := "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n" + string(entity) + "\r\n--b--\r\n"
		checkParts(t, []byte(raw), []generatedPart{{content: []byte("hello")}, p})
	})
}

// generatedPart is a leaf of a generated message.
type generatedPart struct {
	header   []string
	content  []byte
	encoding int // a transfer
	charset  string
}

func (p *generatedPart) field(name, value string) {
	value = strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, value)
	p.header = append(p.header, name+": "+value+"\r\n")
}

// encodings are the ways to write each transfer.
var encodings = map[int][]string{
	int(identity):       {"8bit", "7bit", "binary", "", "=?utf-8?q?8bit?="},
	int(transferBase64): {"base64", "BASE64 ", `"base64"`, "base64 (all of it)", "=?us-ascii?q?base64?=", "base64;", "x-base64"},
	int(transferQP):     {"quoted-printable", "Quoted_Printable", "=?utf-8?b?cXVvdGVkLXByaW50YWJsZQ==?="},
	int(transferUU):     {"x-uuencode", "uuencode"},
}

// entity returns the header and the encoded content.
func (p *generatedPart) entity(r *rand.Rand) []byte {
	names := encodings[p.encoding]
	name := names[r.IntN(len(names))]
	var b bytes.Buffer
	b.WriteString(strings.Join(p.header, ""))
	if name != "" {
		b.WriteString("Content-Transfer-Encoding: " + name + "\r\n")
	}
	b.WriteString("\r\n")
	switch transfer(p.encoding) {
	case transferBase64:
		b.Write(bytes.TrimSuffix(wrapLines(base64.StdEncoding.EncodeToString(p.content), 4+r.IntN(100), "\r\n"), []byte("\r\n")))
	case transferQP:
		w := quotedprintable.NewWriter(&b)
		w.Binary = true
		w.Write(p.content)
		w.Close()
	case transferUU:
		b.Write(uuencode("f", p.content))
	default:
		b.Write(p.content)
	}
	return b.Bytes()
}

func uuencode(name string, data []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "begin 644 %s\r\n", name)
	char := func(c byte) {
		if c &= 63; c == 0 {
			c = '`' - ' '
		}
		b.WriteByte(c + ' ')
	}
	for len(data) > 0 {
		n := min(45, len(data))
		line := append(bytes.Clone(data[:n]), 0, 0)
		char(byte(n))
		for i := 0; i < n; i += 3 {
			char(line[i] >> 2)
			char(line[i]<<4 | line[i+1]>>4)
			char(line[i+1]<<2 | line[i+2]>>6)
			char(line[i+2])
		}
		b.WriteString("\r\n")
		data = data[n:]
	}
	b.WriteString("`\r\nend")
	return b.Bytes()
}

// hasDashLine reports whether a line could be taken for a delimiter.
func hasDashLine(entity []byte) bool {
	return bytes.HasPrefix(entity, []byte("--")) || bytes.Contains(entity, []byte("\n--"))
}

// partsGenerator generates messages.
type partsGenerator struct{ *rand.Rand }

func pick[T any](g *partsGenerator, list []T) T { return list[g.IntN(len(list))] }

var (
	partTypes = []string{
		"text/plain", "text/html", "text/plain; name=a.txt", `text/html; name="a.html"`, "text/ascii", "text", "text/csv", "text/x-amp-html",
		"application/pdf", "application/octet-stream; name=a.bin", "image/png; name=ä.png", "pdf", "(null)", "application", "", "application/", "/pdf",
		"=?utf-8?q?application/pdf=3B_name=3D=22=C3=A4=2Epdf=22?=", "=?utf-8?b?dGV4dC9wbGFpbg==?=", "=?utf-8?q?text/plain?=; name=b.txt",
		"=?utf-8?q?unclosed", "multipart/mixed", "multipart/alternative; boundary=none", "multipart/related; boundary=\"\"", "message/rfc822",
		"message/delivery-status", "text/plain; format=flowed; delsp=yes", "text/rfc822-headers", "audio", "null", "undefined", "*/*", "image/*", "\x01", "text/plain\x00",
	}
	partCharsets     = []string{"", "", "utf-8", "us-ascii", "iso-8859-1", "windows-1252", "koi8-r", "utf-16", "utf-16le", "utf-32"}
	partDispositions = []string{
		"attachment", "inline", "attachment; filename=x.pdf", "inline; filename=x.txt", "", "(null)", "filename=y.txt", "=?utf-8?q?attachment=3B_filename=3D=22=C3=A4=2Epdf=22?=",
		"=?utf-8?q?inline?=", "attachement; filename=z", `attachment; filename="no end`, "form-data; name=field",
	}
	partMagics = []string{
		"%PDF-1.4\n", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff\xe0\x00\x10JFIF", "GIF89a\x01\x00\x01\x00", "PK\x03\x04", "\x1f\x8b\x08\x00", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
		"MZ\x90\x00", "\x7fELF\x02", "BM\x36\x00", "II*\x00", "MM\x00*", "RIFF\x24\x00\x00\x00WAVE", "Rar!\x1a\x07\x00", "7z\xbc\xaf\x27\x1c", "\x00\x00\x01\x00", "\xff\xfe", "\xfe\xff", "\xef\xbb\xbf",
		"ID3\x03\x00", "OggS\x00", "\xca\xfe\xba\xbe", "", "", "",
	}
	partTexts = []string{"hello\r\n", "Grüße aus Köln", "<p>a & b</p>", "line one\r\nline two\r\n", "1 > 0", "привет", "begin 644 of them\r\nwere there", "日本語"}
)

// content returns text, or bytes that no text has.
func (g *partsGenerator) content() []byte {
	if g.IntN(4) == 0 {
		return []byte(fmt.Sprintf("%d %s", g.Uint64(), pick(g, partTexts)))
	}
	n := 16 + g.IntN(300)
	b := make([]byte, n)
	switch g.IntN(4) {
	case 0: // any bytes
		for i := range b {
			b[i] = byte(g.Uint32())
		}
	case 1: // small numbers
		for i := range b {
			b[i] = byte(g.IntN(8))
		}
	case 2: // a program or document: texts and numbers
		for i := range b {
			if b[i] = byte(' ' + g.IntN(90)); i%8 < 3 {
				b[i] = byte(g.Uint32())
			}
		}
		b[0] = 0
	case 3: // every byte
		for i := range b {
			b[i] = byte(i)
		}
	}
	return append([]byte(pick(g, partMagics)), b...)
}

func (g *partsGenerator) part() generatedPart {
	p := generatedPart{content: g.content(), encoding: g.IntN(4)}
	isText := utf8.Valid(p.content) && !bytes.ContainsFunc(p.content, isBodyControl)
	if g.IntN(6) > 0 {
		mediaType := pick(g, partTypes)
		if !isText && strings.Contains(mediaType, "/") && g.IntN(2) == 0 {
			p.charset = pick(g, partCharsets)
			mediaType += "; charset=" + p.charset
		}
		p.field("Content-Type", mediaType)
	}
	if g.IntN(2) == 0 {
		p.field("Content-Disposition", pick(g, partDispositions))
	}
	if g.IntN(4) == 0 {
		p.field("Content-ID", "<a@b>")
	}
	g.Shuffle(len(p.header), func(i, j int) { p.header[i], p.header[j] = p.header[j], p.header[i] })
	return p
}

// message returns a message and its leaves.
func (g *partsGenerator) message() ([]byte, []generatedPart) {
	for {
		var parts []generatedPart
		entity := g.entity(&parts, 0)
		top := "From: a@contoso.test\r\nSubject: parts\r\n"
		if g.IntN(2) == 0 || len(parts) == 1 { // otherwise uuencoded text in it is a file
			top += "MIME-Version: 1.0\r\n"
		}
		ok := true
		for _, p := range parts {
			ok = ok && !hasDashLine(p.entity(rand.New(rand.NewPCG(0, 0))))
		}
		if ok {
			return append([]byte(top), entity...), parts
		}
	}
}

// entity returns a part, or a multipart with some, with its header.
func (g *partsGenerator) entity(parts *[]generatedPart, depth int) []byte {
	if depth > 2 || g.IntN(3) == 0 {
		p := g.part()
		*parts = append(*parts, p)
		return p.entity(g.Rand)
	}
	boundary := fmt.Sprintf("b%d-%d", depth, g.Uint32())
	var b bytes.Buffer
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%s\r\n\r\n", pick(g, []string{"mixed", "related", "parallel"}), boundary)
	for range 1 + g.IntN(3) {
		fmt.Fprintf(&b, "--%s\r\n%s\r\n", boundary, g.entity(parts, depth+1))
	}
	if g.IntN(8) > 0 {
		fmt.Fprintf(&b, "--%s--\r\n", boundary)
	}
	return b.Bytes()
}

// checkParts checks that the bytes of each part are in the description of the message.
func checkParts(t *testing.T, raw []byte, parts []generatedPart) {
	t.Helper()
	m, err := Parse(bytes.NewReader(raw), int64(len(raw)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, a := range m.Attachments {
		files[trimBreaks(readAttachment(t, a))] = true
	}
	body := m.Body.Content
	if m.Body.HTML {
		body = html.UnescapeString(strings.NewReplacer("<br>", "", "<div>", "", "</div>", "").Replace(body))
	}
	said := sayings(body)
	for i, p := range parts {
		if !files[trimBreaks(p.content)] && (!isWide(p.charset) && isBinary(p.content) || !p.saidIn(said, m)) {
			t.Errorf("part %d of %d is lost: %q\nheader %q, body %q", i+1, len(parts), p.content, p.header, m.Body.Content)
		}
	}
}

// trimBreaks removes the line breaks at the end: without a closing delimiter, those behind a
// part belong to it.
func trimBreaks(b []byte) string { return string(bytes.TrimRight(b, "\r\n")) }

// isBinary reports whether text could not say the same as the content.
func isBinary(content []byte) bool {
	controls := 0
	for _, c := range bytes.TrimRight(content, "\x00\x1a") {
		if isBodyControl(rune(c)) {
			controls++
		}
	}
	return bytes.HasPrefix(content, []byte("%PDF-")) || bytes.HasPrefix(content, []byte("PK\x03\x04")) || controls*4 > len(content)
}

// saidIn reports whether a text has the characters of the content, in some charset.
func (p *generatedPart) saidIn(said string, m *Message) bool {
	if bytes.ContainsFunc(bytes.TrimRight(p.content, "\x00\x1a"), isBodyControl) && !isWide(p.charset) && !hasNote(m, noteSalvaged) {
		return false // something was left out without a word
	}
	for _, s := range readings(p.content) {
		if strings.Contains(said, sayings(s)) {
			return true
		}
	}
	return false
}

// readings returns the content as text in each charset that could be meant.
func readings(content []byte) (all []string) {
	for _, e := range []interface {
		String(string) (string, error)
	}{
		charmap.Windows1252.NewDecoder(), charmap.KOI8R.NewDecoder(), xunicode.UTF16(xunicode.LittleEndian, xunicode.UseBOM).NewDecoder(),
		xunicode.UTF16(xunicode.BigEndian, xunicode.UseBOM).NewDecoder(), utf32.UTF32(utf32.BigEndian, utf32.UseBOM).NewDecoder(),
	} {
		if s, err := e.String(string(content)); err == nil {
			all = append(all, s)
		}
	}
	return append(all, guessText(content))
}

// sayings returns what a text says, without blanks, quotation signs and controls.
func sayings(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || isBodyControl(r) || strings.ContainsRune("\ufeff>", r) {
			return -1
		}
		return r
	}, s)
}
