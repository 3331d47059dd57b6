package inprocess

import (
	"fmt"
	"mime"
	"strings"
)

// file returns an attachment.
func (g *generator) file() string {
	if g.big {
		g.big = false
		size := 3<<20 + g.IntN(1<<20)
		return g.attach(generatedFile{name: "large.bin", content: g.bytes(size)}, "application/octet-stream",
			"; filename=large.bin", "base64")
	}
	switch g.IntN(6) {
	case 0:
		return g.textFile()
	case 1:
		return g.forwarded()
	case 2: // without a name
		return g.attach(generatedFile{content: g.bytes(g.IntN(500))}, pick(g, "application/pdf", "image/jpeg", "application/octet-stream"), "", "base64")
	}
	f := generatedFile{content: g.bytes(pick(g, 0, 1, 2, 3, 57, 58, 1000+g.IntN(9000)))}
	f.name = g.fileName()
	kind := pick(g, "application/octet-stream", "application/pdf", "image/png", "application/x-"+strings.Repeat("long-", 10)+"type")
	return g.attach(f, kind, g.nameParameter("filename", f.name), "base64")
}

func (g *generator) fileName() string {
	l := pick(g, languages...)
	name := strings.NewReplacer("/", "", ".", "").Replace(g.words(l))
	if len(name) > 120 {
		name = "long"
	}
	return name + " " + fmt.Sprint(g.IntN(1000)) + pick(g, ".pdf", ".tar.gz", ".x")
}

// attach returns the part, and records the file as expected. Disposition has the
// parameters.
func (g *generator) attach(f generatedFile, kind, disposition string, transfers ...string) string {
	g.msg.files = append(g.msg.files, f)
	head := "Content-Type: " + kind + "\r\nContent-Disposition: attachment" + disposition + "\r\n"
	if f.name != "" && g.oneIn(4) { // as old clients do
		head = "Content-Type: " + kind + g.nameParameter("name", f.name) + "\r\nContent-Disposition: attachment\r\n"
	}
	if g.oneIn(5) {
		head += "Content-Description: a file\r\nX-Attachment-Id: f_1\r\n"
	}
	return g.leaf(head, f.content, transfers...)
}

// textFile returns a text part that is not the body: its bytes must not change, whatever
// its charset is.
func (g *generator) textFile() string {
	l := pick(g, languages...)
	f := generatedFile{name: g.fileName(), content: l.encode(g.lines(l))}
	transfers := []string{"base64", "quoted-printable", "8bit"}
	if l.wide {
		transfers = transfers[:1]
	}
	kind := pick(g, "text/plain", "text/csv", "text/html", "text/calendar")
	return g.attach(f, kind+"; charset="+l.charset, g.nameParameter("filename", f.name), transfers...)
}

// forwarded returns a message within the message. Its bytes, header included, must arrive
// as a file.
func (g *generator) forwarded() string {
	inner := &generator{Rand: g.Rand, msg: &generated{}, marks: g.marks + 1000}
	body := inner.body()
	if g.oneIn(2) {
		body = inner.mixed(body)
	}
	g.marks = inner.marks
	subject := fmt.Sprintf("forwarded %d", g.marks)
	f := generatedFile{name: subject + ".eml", content: []byte("From: c@example.test\r\nTo: a@contoso.test\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n" + body)}
	g.msg.files = append(g.msg.files, f)
	head := "Content-Type: message/rfc822\r\n"
	if g.oneIn(2) {
		head += "Content-Disposition: " + pick(g, "attachment", "inline") + "\r\n"
	}
	return g.leaf(head, f.content, pick(g, "8bit", "8bit", "base64"))
}

// nameParameter writes a file name in one of the forms that clients use: RFC 2045, RFC
// 2231, and RFC 2047, which forbids it here.
func (g *generator) nameParameter(key, name string) string {
	ascii := strings.IndexFunc(name, func(r rune) bool { return r > '~' || r == '"' || r == '\\' }) < 0
	switch n := g.IntN(6); {
	case n == 0 && ascii:
		return fmt.Sprintf(";\r\n %s=%q", key, name)
	case n == 0, n == 1:
		return fmt.Sprintf("; %s*=%s''%s", key, pick(g, "utf-8", "UTF-8"), percent([]byte(name), g))
	case n == 2:
		return g.continued(key, name)
	case n == 3:
		return fmt.Sprintf("; %s=\"%s\"", key, mime.BEncoding.Encode("utf-8", name))
	case n == 4:
		return fmt.Sprintf(";\r\n\t%s=\"%s\"", key, strings.ReplaceAll(mime.QEncoding.Encode("utf-8", name), "?= =?", "?=\r\n =?"))
	default:
		return fmt.Sprintf("; %s=\"%s\"", key, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name))
	}
}

// continued is RFC 2231 section 3 and 4: the name in pieces, in a charset.
func (g *generator) continued(key, name string) string {
	charset, raw := "utf-8", []byte(name)
	for _, l := range languages {
		if b, err := tryEncode(l, name); err == nil && !l.wide && l.charset != "us-ascii" && g.oneIn(3) {
			charset, raw = l.charset, b
			break
		}
	}
	var b strings.Builder
	width := 1 + g.IntN(20)
	for i := 0; len(raw) > 0; i++ {
		n := min(width, len(raw))
		text := percent(raw[:n], g)
		if i == 0 {
			text = charset + "''" + text
		}
		fmt.Fprintf(&b, ";\r\n %s*%d*=%s", key, i, text)
		raw = raw[n:]
	}
	return b.String()
}

// percent encodes what RFC 2231 wants encoded, and some of the rest.
func percent(raw []byte, g *generator) string {
	var b strings.Builder
	for _, c := range raw {
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' && c < 0x80 && !g.oneIn(5) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func tryEncode(l language, s string) ([]byte, error) {
	if l.encoding == nil {
		return []byte(s), nil
	}
	return l.encoding.NewEncoder().Bytes([]byte(s))
}
