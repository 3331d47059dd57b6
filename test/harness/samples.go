package harness

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"mime"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// JapaneseName is the file name of the large attachment.
const JapaneseName = "見積書 第2版.pdf"

// Sample is a message as its author intends it.
type Sample struct {
	From    string   `json:"from"`
	To      []string `json:"to"`
	Cc      []string `json:"cc"`
	Bcc     []string `json:"bcc"` // in the envelope alone
	Subject string   `json:"subject"`
	Text    string   `json:"text"`
	HTML    string   `json:"html,omitempty"`
	Files   []File   `json:"files"`
	Signed  bool     `json:"-"` // the text alone, as multipart/signed, with a Message-ID
}

// signature is the signature of a Signed sample.
const signature = "a signature"

type File struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Path      string `json:"path"`
	ContentID string `json:"contentId,omitempty"` // then it is inline
	Content   []byte `json:"-"`
}

func (s Sample) Recipients() []string { return slices.Concat(s.To, s.Cc, s.Bcc) }

// Samples returns the three messages that each client sends. Their content depends on the
// title.
func Samples(t *testing.T, from, title string) []Sample {
	t.Helper()
	base := Sample{From: from, To: []string{"anna@example.com", "bernd@example.org"}, Cc: []string{"chie@example.net"},
		Bcc: []string{"archive@example.com"}}
	text, html, attachment := base, base, base
	text.Subject = title + " – Grüße 本日"
	text.Text = "Guten Tag,\n\n.\n..two dots\n.one dot\nこんにちは, ½ €\n"
	html.Subject = title + " with a picture"
	html.Text = "The picture shows a dot.\n"
	html.HTML = "<html><body><p>Grüße</p><img src=\"cid:dot@client.test\" alt=\"\"></body></html>\n"
	html.Files = []File{NewFile(t, "dot.png", "image/png", Picture())}
	html.Files[0].ContentID = "dot@client.test"
	attachment.Subject = title + " with a large attachment"
	attachment.Text = "See the attachment.\n"
	attachment.Files = []File{NewFile(t, JapaneseName, "application/pdf", Noise(title, 10_000_000))}
	return []Sample{text, html, attachment}
}

// NewFile returns an attachment, whose content is in a file too.
func NewFile(t *testing.T, name, contentType string, content []byte) File {
	t.Helper()
	f := File{Name: name, Type: contentType, Path: filepath.Join(t.TempDir(), "file"), Content: content}
	if err := os.WriteFile(f.Path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// Picture returns a PNG of one pixel.
func Picture() []byte {
	b, _ := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
	return b
}

// Noise returns n random-looking bytes, the same for the same seed.
func Noise(seed string, n int) []byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed))
	b := make([]byte, n)
	source := rand.New(rand.NewPCG(h.Sum64(), 1))
	for i := 0; i+8 <= n; i += 8 {
		v := source.Uint64()
		for k := range 8 {
			b[i+k] = byte(v >> (8 * k))
		}
	}
	return b
}

// SaveSpec writes the sample as JSON, for clients that compose the MIME themselves, and
// returns the path.
func (s Sample) SaveSpec(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return SaveText(t, string(b))
}

// SaveText writes a text to a file and returns the path.
func SaveText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nameForm returns the file name parameter of Content-Disposition.
type nameForm func(name string) string

// RFC2231Name returns the form of RFC 2231.
func RFC2231Name(name string) string {
	return "filename*=UTF-8''" + url.PathEscape(name)
}

// EncodedWordName returns the form that RFC 2047 forbids and Outlook uses.
func EncodedWordName(name string) string {
	return `filename="` + mime.BEncoding.Encode("utf-8", name) + `"`
}

// Compose returns the sample as MIME, for clients that send a finished message.
func (s Sample) Compose(name nameForm) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nTo: %s\r\nCc: %s\r\nSubject: %s\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n",
		s.From, strings.Join(s.To, ",\r\n "), strings.Join(s.Cc, ", "), mime.QEncoding.Encode("utf-8", s.Subject))
	body, contentType := s.Text, "text/plain"
	if s.HTML != "" {
		body, contentType = s.HTML, "text/html"
	}
	if s.Signed {
		fmt.Fprintf(&b, "Message-ID: <%s@client.test>\r\n", SHA256Hex([]byte(s.Subject))[:20])
	}
	text := "Content-Type: " + contentType + "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + Wrapped([]byte(crlf(body)))
	const mark = "=_part"
	switch {
	case s.Signed:
		fmt.Fprintf(&b, "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=%q\r\n\r\n--%[1]s\r\n%s", mark, text)
		fmt.Fprintf(&b, "--%s\r\nContent-Type: application/pgp-signature\r\n\r\n%s\r\n--%[1]s--\r\n", mark, signature)
		return b.String()
	case len(s.Files) == 0:
		b.WriteString(text)
		return b.String()
	}
	kind := "mixed"
	if s.HTML != "" {
		kind = "related"
	}
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\r\n\r\n--%s\r\n%s", kind, mark, mark, text)
	for _, f := range s.Files {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", mark, f.Type)
		if f.ContentID != "" {
			fmt.Fprintf(&b, "Content-ID: <%s>\r\nContent-Disposition: inline; filename=%q\r\n\r\n", f.ContentID, f.Name)
		} else {
			fmt.Fprintf(&b, "Content-Disposition: attachment; %s\r\n\r\n", name(f.Name))
		}
		b.WriteString(Wrapped(f.Content))
	}
	fmt.Fprintf(&b, "--%s--\r\n", mark)
	return b.String()
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// Wrapped returns the content as base64 in lines of 76 characters.
func Wrapped(content []byte) string {
	var b bytes.Buffer
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text + "\r\n"
}

// Check compares the sample with the message in a mailbox. A sender rule of the
// configuration has devices send as the scanner's mailbox.
func (s Sample) Check(t *testing.T, got simulator.Message) {
	t.Helper()
	equal := func(what string, got, want any) {
		if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
			t.Errorf("%s: got %s, want %s", what, Tail(g), Tail(w))
		}
	}
	equal("subject", got.Subject, s.Subject)
	from, replyTo := s.From, []string(nil)
	if strings.HasSuffix(from, "@printers.local") {
		from, replyTo = "scanner@contoso.test", []string{s.From}
	}
	equal("from", got.From.Address, from)
	equal("reply to", addresses(got.ReplyTo), replyTo)
	equal("to", addresses(got.To), s.To)
	equal("cc", addresses(got.Cc), s.Cc)
	equal("bcc", addresses(got.Bcc), s.Bcc)
	if s.HTML != "" {
		equal("body", []string{got.Body.ContentType, Lines(got.Body.Content)}, []string{"html", Lines(s.HTML)})
	} else {
		equal("body", []string{got.Body.ContentType, Lines(got.Body.Content)}, []string{"text", Lines(s.Text)})
	}
	if len(got.Attachments) != len(s.Files) {
		t.Fatalf("%d attachments, want %d: %+v", len(got.Attachments), len(s.Files), got.Attachments)
	}
	for i, f := range s.Files {
		a := got.Attachments[i]
		equal("attachment's name", a.Name, f.Name)
		equal("attachment's type", a.ContentType, f.Type)
		equal("attachment's content id", a.ContentID, f.ContentID)
		if a.IsInline != (f.ContentID != "") {
			t.Errorf("attachment %s: isInline is %v", a.Name, a.IsInline)
		}
		equal("attachment's sha256", a.SHA256, SHA256Hex(f.Content))
	}
}

func addresses(list []simulator.Address) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.Address)
	}
	return out
}

// Lines returns a text with LF as line ends and one at the end, which SMTP adds.
func Lines(s string) string {
	return strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\n") + "\n"
}

// SHA256Hex returns the digest in hexadecimal, as the simulator shows it.
func SHA256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
