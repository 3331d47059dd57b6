package demo

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
)

// sample is a message as an application sends it, and what must arrive.
type sample struct {
	title   string
	to      []string
	subject string
	text    string // what the body must contain
	files   []file
	raw     []byte
}

type file struct {
	name, contentType, cid string
	content                []byte
}

const sender = "crm@contoso.test"

func samples() ([]sample, error) {
	list := []sample{
		{
			title: "plain text", to: []string{"anna@example.test"},
			subject: "Backup finished", text: "All 12 volumes were saved; nothing needs your attention.",
		},
		{
			title: "HTML with an inline image and a PDF", to: []string{"anna@example.test", "bernd@example.test"},
			subject: "Grüße: Ihre Rechnung 4711", text: `<p>Bitte prüfen Sie die Rechnung.</p><img src="cid:logo@contoso.test" alt="logo">`,
			files: []file{
				{name: "logo.png", contentType: "image/png", cid: "logo@contoso.test", content: logo()},
				{name: "Rechnung 4711.pdf", contentType: "application/pdf", content: invoice()},
			},
		},
		{
			title: "a 12 MB attachment", to: []string{"anna@example.test"},
			subject: "Scan from the third floor", text: "The scan is attached.",
			files: []file{{name: "スキャン.tiff", contentType: "image/tiff", content: scan(12_000_000)}},
		},
	}
	for i := range list {
		if err := list[i].write(); err != nil {
			return nil, fmt.Errorf("sample %q: %w", list[i].title, err)
		}
	}
	return list, nil
}

func (s *sample) html() bool { return strings.HasPrefix(s.text, "<") }

// write builds the message with go-message, as many Go programs do: the HTML and the images
// that it refers to are in a multipart/related, and the other files are beside that.
func (s *sample) write() error {
	var h mail.Header
	h.SetAddressList("From", []*mail.Address{{Name: "Contoso CRM", Address: sender}})
	h.SetText("To", strings.Join(s.to, ", "))
	h.SetSubject(s.subject)
	h.SetDate(time.Now())
	if err := h.GenerateMessageIDWithHostname("crm.contoso.test"); err != nil {
		return err
	}
	h.SetContentType("multipart/mixed", nil)
	var buf bytes.Buffer
	w, err := message.CreateWriter(&buf, h.Header)
	if err != nil {
		return err
	}
	if err := s.writeParts(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	s.raw = buf.Bytes()
	return nil
}

func (s *sample) writeParts(w *message.Writer) error {
	var related message.Header
	related.SetContentType("multipart/related", nil)
	body, err := w.CreatePart(related)
	if err != nil {
		return err
	}
	if err := writePart(body, s.bodyHeader(), []byte(s.text)); err != nil {
		return err
	}
	for _, f := range s.files {
		if f.cid != "" {
			if err := writePart(body, f.header(), f.content); err != nil {
				return err
			}
		}
	}
	if err := body.Close(); err != nil {
		return err
	}
	for _, f := range s.files {
		if f.cid == "" {
			if err := writePart(w, f.header(), f.content); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sample) bodyHeader() (h message.Header) {
	kind := "text/plain"
	if s.html() {
		kind = "text/html"
	}
	h.SetContentType(kind, map[string]string{"charset": "utf-8"})
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	return h
}

func (f file) header() (h message.Header) {
	h.SetContentType(f.contentType, nil)
	h.Set("Content-Transfer-Encoding", "base64")
	disposition := "attachment"
	if f.cid != "" {
		disposition = "inline"
		h.Set("Content-Id", "<"+f.cid+">")
	}
	h.SetContentDisposition(disposition, map[string]string{"filename": f.name})
	return h
}

func writePart(w *message.Writer, h message.Header, content []byte) error {
	part, err := w.CreatePart(h)
	if err != nil {
		return err
	}
	if _, err := part.Write(content); err != nil {
		return err
	}
	return part.Close()
}

func logo() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 120, 40))
	for y := range 40 {
		for x := range 120 {
			m.Set(x, y, color.RGBA{uint8(2 * x), uint8(6 * y), 160, 255})
		}
	}
	var buf bytes.Buffer
	_ = png.Encode(&buf, m) // to memory
	return buf.Bytes()
}

// invoice returns a minimal PDF that viewers can open.
func invoice() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	text := "BT /F1 24 Tf 40 120 Td (Invoice 4711) Tj ET"
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
		fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(text), text),
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
	}
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// scan returns n bytes of noise, always the same.
func scan(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}
