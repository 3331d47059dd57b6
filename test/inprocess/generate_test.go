package inprocess

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// language is text of a script, with a charset that it is written in.
type language struct {
	charset  string
	encoding encoding.Encoding // nil is UTF-8
	words    string
	wide     bool // its bytes hold zeros: only base64 carries it
}

var languages = []language{
	{"us-ascii", nil, "Please find the report attached .dot ..dots From here = = =20", false},
	{"utf-8", nil, "Grüße 本日は 晴天 naïve ½ € 👍🏽 – “quoted” Привет", false},
	{"UTF-8", nil, "žluťoučký kůň שלום مرحبا", false},
	{"iso-8859-1", charmap.ISO8859_1, "Grüße café señor ½ £ ÿ", false},
	{"windows-1252", charmap.Windows1252, "“smart” quotes – € … œuvre ™", false},
	{"ISO-8859-15", charmap.ISO8859_15, "prix 10 € œuvre Šk", false},
	{"iso-8859-2", charmap.ISO8859_2, "žluťoučký kůň łódź", false},
	{"koi8-r", charmap.KOI8R, "Привет мир отчёт", false},
	{"windows-1251", charmap.Windows1251, "Здравствуйте №5 – отчёт", false},
	{"ISO-2022-JP", japanese.ISO2022JP, "見積書 を お送り します カタカナ abc", false},
	{"Shift_JIS", japanese.ShiftJIS, "表示 ソフト 見積書 能力", false},
	{"euc-jp", japanese.EUCJP, "見積書 です", false},
	{"GBK", simplifiedchinese.GBK, "您好 报告 見積 镕基", false},
	{"gb2312", simplifiedchinese.GBK, "您好 报告 附件", false},
	{"gb18030", simplifiedchinese.GB18030, "您好 报告 㐀 𠀀", false},
	{"big5", traditionalchinese.Big5, "您好 報告 許功蓋", false},
	{"euc-kr", korean.EUCKR, "안녕하세요 보고서", false},
	{"utf-16", unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "wide Grüße 本日", true},
}

func (l language) encode(s string) []byte {
	if l.encoding == nil {
		return []byte(s)
	}
	b, err := l.encoding.NewEncoder().Bytes([]byte(s))
	if err != nil {
		panic(l.charset + ": " + err.Error())
	}
	return b
}

// generated is a message, and its content as the author intends it.
type generated struct {
	raw     []byte
	subject string
	html    bool
	text    string // of the body
	files   []generatedFile
}

type generatedFile struct {
	name    string // empty: the relay has to make one
	cid     string
	inline  bool
	content []byte
}

// generator generates random messages.
type generator struct {
	*rand.Rand
	msg   *generated
	marks int
	big   bool // one attachment is larger than one request takes
}

func (g *generator) oneIn(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// message generates a message.
func (g *generator) message(n int, big bool) *generated {
	g.msg, g.big = &generated{}, big
	body := g.body()
	for range g.IntN(4) {
		body = g.mixed(body)
	}
	if big {
		body = g.multipart("mixed", "", body, g.file())
	}
	fault := ""
	if g.oneIn(20) {
		body, fault = g.damage(body)
	}
	g.msg.subject = fmt.Sprintf("%d %s", n, g.words(pick(g, languages...)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Anna <a@contoso.test>\r\nTo: b@example.test\r\nSubject: %s\r\nMessage-ID: <%d.%x@contoso.test>\r\nMIME-Version: 1.0\r\n",
		mime.QEncoding.Encode("utf-8", g.msg.subject), n, g.Uint64())
	b.WriteString(fault + body)
	g.msg.raw = b.Bytes()
	return g.msg
}

// damage damages the body as some senders do. The fault belongs into the header.
func (g *generator) damage(body string) (damaged, fault string) {
	if g.oneIn(2) {
		return body, "a line that is no field\r\n"
	}
	f := generatedFile{name: "last.bin", content: g.bytes(100)}
	body = g.multipart("mixed", "", body, g.attach(f, "application/octet-stream", "; filename=last.bin", "base64"))
	return body[:strings.LastIndex(body, "\r\n--")+2], "" // the last delimiter is missing
}

// words returns a few words of a language.
func (g *generator) words(l language) string {
	all := strings.Fields(l.words)
	g.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return strings.Join(all[:1+g.IntN(len(all))], " ")
}

// lines returns text with lines of odd lengths.
func (g *generator) lines(l language) string {
	var b strings.Builder
	for range g.IntN(8) {
		for range pick(g, 0, 1, 1, 2, 5, 40) {
			b.WriteString(g.words(l) + " ")
		}
		b.WriteString(pick(g, "x", "\tx", "=", ".") + "\r\n")
	}
	return b.String()
}

// body returns the text of the message, in one of the structures that clients use.
func (g *generator) body() string {
	switch g.IntN(5) {
	case 0:
		return g.text("plain", true)
	case 1:
		return g.text("html", true)
	case 2:
		return g.multipart("alternative", "", g.text("plain", false), g.text("html", true))
	case 3: // Outlook
		return g.related(func() string {
			return g.multipart("alternative", "", g.text("plain", false), g.text("html", true))
		})
	default: // Thunderbird
		plain := g.text("plain", false)
		return g.multipart("alternative", "", plain, g.related(func() string { return g.text("html", true) }))
	}
}

// related adds images to what root returns. The HTML refers to some of them.
func (g *generator) related(root func() string) string {
	first := len(g.msg.files)
	for range g.IntN(4) {
		g.marks++
		name := fmt.Sprintf("image%03d.png", g.marks)
		g.msg.files = append(g.msg.files, generatedFile{name: name, content: g.bytes(g.IntN(3000)),
			cid:    pick(g, fmt.Sprintf("%s@01DA%04X.5F3B", name, g.marks), fmt.Sprintf("part%d.x@client.test", g.marks), fmt.Sprintf("ii_%d", g.marks)),
			inline: !g.oneIn(3)})
	}
	parts := []string{root()}
	for _, f := range g.msg.files[first:] {
		head := fmt.Sprintf("Content-Type: image/png; name=%q\r\nContent-ID: <%s>\r\n", f.name, f.cid)
		if !g.oneIn(3) {
			head += pick(g, "Content-Disposition: inline\r\n", fmt.Sprintf("Content-Disposition: inline; filename=%q\r\n", f.name))
		}
		parts = append(parts, g.leaf(head, f.content, "base64"))
	}
	return g.multipart("related", pick(g, "", "; type=\"multipart/alternative\""), parts...)
}

// text returns a text part. The one that is shown is the message's body.
func (g *generator) text(kind string, shown bool) string {
	l := pick(g, languages...)
	s := g.lines(l)
	if kind == "html" {
		for _, f := range g.msg.files {
			if f.inline {
				s += fmt.Sprintf("<img src=%s>\r\n", pick(g, `"cid:`+f.cid+`"`, `'cid:`+strings.ReplaceAll(f.cid, "@", "%40")+`'`))
			}
		}
		s = "<html><body>" + s + "</body></html>"
	} else if g.oneIn(6) {
		s = ""
	}
	if shown {
		g.msg.html, g.msg.text = kind == "html", s
	}
	head := fmt.Sprintf("Content-Type: text/%s; charset=%s\r\n", kind, pick(g, l.charset, `"`+l.charset+`"`))
	if l.charset == "us-ascii" && g.oneIn(2) && s != "" {
		head = pick(g, "Content-Type: text/"+kind+"\r\n", head)
	}
	transfers := []string{"base64", "quoted-printable", "8bit"}
	if l.wide {
		transfers = transfers[:1]
	}
	return g.leaf(head, l.encode(s), transfers...)
}

// mixed adds attachments behind or around a body.
func (g *generator) mixed(body string) string {
	parts := []string{body}
	for range g.IntN(4) {
		parts = append(parts, g.file())
	}
	if g.oneIn(4) { // a list of its own
		parts = append(parts, g.multipart("mixed", "", g.file(), g.file()))
	}
	return g.multipart("mixed", "", parts...)
}

// multipart joins parts with a boundary that none of them has.
func (g *generator) multipart(kind, more string, parts ...string) string {
	g.marks++
	mark := pick(g, fmt.Sprintf("----=_NextPart_%03d_01DA.5F", g.marks), fmt.Sprintf("=_%d'()+,-./:=?", g.marks), fmt.Sprintf("b%dx", g.marks))
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: multipart/%s;%sboundary=%q%s\r\n\r\n", kind, pick(g, " ", "\r\n\t", "\r\n "), mark, more)
	b.WriteString(pick(g, "", "", "This is a message in MIME format.\r\n"))
	for _, p := range parts {
		b.WriteString("--" + mark + "\r\n" + p + "\r\n")
	}
	b.WriteString("--" + mark + "--\r\n" + pick(g, "", "", "epilogue\r\n"))
	return b.String()
}

// leaf adds content in a transfer encoding that is one of those named and suits it.
func (g *generator) leaf(head string, content []byte, transfers ...string) string {
	transfer := transfers[g.IntN(len(transfers))]
	switch transfer {
	case "base64":
		text := base64.StdEncoding.EncodeToString(content)
		return head + "Content-Transfer-Encoding: " + g.spelling("base64") + "\r\n\r\n" + g.cut(text, pick(g, 76, 76, 72, 4, 77, 61, 900))
	case "quoted-printable":
		return head + "Content-Transfer-Encoding: " + g.spelling("quoted-printable") + "\r\n\r\n" + g.quotedPrintable(content)
	}
	if !slices.ContainsFunc(content, func(c byte) bool { return c >= 0x80 }) {
		transfer = "7bit"
	}
	if transfer == "8bit" || g.oneIn(2) {
		head += "Content-Transfer-Encoding: " + transfer + "\r\n"
	}
	return head + "\r\n" + string(content)
}

func (g *generator) spelling(transfer string) string {
	if g.oneIn(200) { // RFC 2045 allows no parameters
		transfer += pick(g, ";", " (a comment)")
	}
	return pick(g, transfer, strings.ToUpper(transfer), strings.ToUpper(transfer[:1])+transfer[1:])
}

func (g *generator) cut(text string, width int) string {
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + "\r\n")
		text = text[width:]
	}
	return b.String() + text
}

// quotedPrintable encodes more than it has to, and cuts lines where it likes.
func (g *generator) quotedPrintable(content []byte) string {
	var b strings.Builder
	width := pick(g, 76, 76, 30, 7)
	column := 0
	for i, c := range content {
		if column+4 > width && c != '\r' && c != '\n' {
			b.WriteString("=\r\n")
			column = 0
		}
		ends := i+1 == len(content) || content[i+1] == '\r' || content[i+1] == '\n'
		switch {
		case c == '\r' || c == '\n':
			b.WriteByte(c)
			column = 0
		case c > ' ' && c < 0x7f && c != '=' && !g.oneIn(20), (c == ' ' || c == '\t') && !ends:
			b.WriteByte(c)
			column++
		default:
			fmt.Fprintf(&b, "=%02X", c)
			column += 3
		}
	}
	return b.String()
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}
