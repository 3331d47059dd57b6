package mime

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-message"
)

// Each benchmark here reads the same message in several ways, so that their ratios
// hold in one run, however busy the machine is. benchstat -col /by compares them.

// BenchmarkAttachment25MiB reads a message with a 25 MiB attachment from a file: the bytes alone
// in 256 KB blocks; the attachment decoded by encoding/base64; the attachment as this package
// decodes it; all that a conversion reads, which is the parse, which measures the attachment, and
// its content; and the message decoded by go-message.
func BenchmarkAttachment25MiB(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	f := inFile(b, raw)
	size := int64(len(raw))
	m, err := Parse(f, size, DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	begin := int64(bytes.LastIndex(raw, []byte("\r\n\r\n")) + 4)
	end := int64(bytes.LastIndex(raw, []byte("--b--")))
	buf := make([]byte, 256<<10)
	by(b, size, "bytes", func() error {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.NewSectionReader(f, 0, size), buf)
		return err
	})
	by(b, size, "base64", func() error {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, base64.NewDecoder(base64.StdEncoding, io.NewSectionReader(f, begin, end-begin)), buf)
		return err
	})
	by(b, size, "content", func() error {
		_, err := io.Copy(io.Discard, m.Attachments[0].Open())
		return err
	})
	by(b, size, "relay", func() error { return readAll(f, size) })
	by(b, size, "go-message", func() error {
		e, err := message.Read(io.NewSectionReader(f, 0, size))
		if err != nil {
			return err
		}
		return e.Walk(func(_ []int, e *message.Entity, err error) error {
			if err != nil {
				return err
			}
			if r := e.MultipartReader(); r != nil {
				return nil // its parts come next
			}
			_, err = io.Copy(io.Discard, e.Body)
			return err
		})
	})
}

// BenchmarkMessage10KB reads whole messages of 10 KB with their content: by this package, and
// by net/mail with mime/multipart and the decoders of the standard library, which read the same
// parts of the header.
func BenchmarkMessage10KB(b *testing.B) {
	for _, c := range smallMessages() {
		b.Run("of="+c.name, func(b *testing.B) {
			raw := []byte(c.raw)
			size := int64(len(raw))
			by(b, size, "relay", func() error { return readAll(bytes.NewReader(raw), size) })
			by(b, size, "stdlib", func() error { return readStdlib(raw) })
		})
	}
}

type namedMessage struct{ name, raw string }

// smallMessages are messages of about 10 KB.
func smallMessages() []namedMessage {
	const top = "From: Ann <ann@example.com>\r\nTo: Bob <bob@example.com>\r\nSubject: A report\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n" +
		"Message-ID: <report@example.com>\r\nMIME-Version: 1.0\r\n"
	line := "The quick brown fox jumps over the lazy dog, and the dog does not mind. 0123\r\n"
	text := strings.Repeat(line, 10<<10/len(line))
	html := strings.Repeat(`<p class=3D"a">Gr=C3=BC=C3=9Fe, the quick brown fox jumps over the lazy =`+"\r\ndog</p>\r\n", 110)
	parts := top + "Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n"
	for i := range 10 {
		parts += fmt.Sprintf("--=_b\r\nContent-Type: application/pdf; name=\"%d.pdf\"\r\nContent-Disposition: attachment; filename=\"%[1]d.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%s",
			i, strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 10))
	}
	return []namedMessage{
		{"text", top + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text},
		{"html", top + "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + html},
		{"both", top + "Content-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text[:len(text)/4] +
			"--=_b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + html[:len(html)*3/4] + "\r\n--=_b--\r\n"},
		{"file", string(withAttachment(7<<10, 76, "\r\n"))},
		{"files", parts + "--=_b--\r\n"},
	}
}

// BenchmarkGrowth reads messages that are large in other ways, and four times as large.
func BenchmarkGrowth(b *testing.B) {
	recipients := func(n int) string {
		var to strings.Builder
		for i := range n {
			if i%500 == 0 {
				to.WriteString("To: first@example.com")
			}
			fmt.Fprintf(&to, ",\r\n Recipient %d <recipient-%[1]d@example.com>", i)
			if i%500 == 499 {
				to.WriteString("\r\n")
			}
		}
		return plainTop + to.String() + "\r\ntext\r\n"
	}
	html := func(n int) string {
		return plainTop + "Content-Type: text/html\r\n\r\n" + strings.Repeat(`<p><a href="https://example.com/x">a link</a> and <img src="cid:a@b"></p>`+"\r\n", n/74)
	}
	parts := func(n int) string {
		return plainTop + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
			strings.Repeat("--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n", n) + "--b--\r\n"
	}
	lim := DefaultLimits()
	lim.BodyBytes, lim.Parts = 64<<20, 10000
	for _, c := range []struct {
		name  string
		sizes [2]int
		make  func(int) string
	}{
		{"html", [2]int{2_500_000, 10_000_000}, html},
		{"parts", [2]int{250, 1000}, parts},
		{"recipients", [2]int{1250, 5000}, recipients},
	} {
		for _, n := range c.sizes {
			raw := strings.NewReader(c.make(n))
			b.Run(fmt.Sprintf("of=%s/n=%d", c.name, n), func(b *testing.B) {
				b.SetBytes(raw.Size())
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Parse(raw, raw.Size(), lim); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func by(b *testing.B, size int64, name string, read func() error) {
	b.Run("by="+name, func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if err := read(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// readAll parses a message and reads its attachments, as a conversion does.
func readAll(r io.ReaderAt, size int64) error {
	m, err := Parse(r, size, DefaultLimits())
	if err != nil {
		return err
	}
	for _, a := range m.Attachments {
		if _, err := io.Copy(io.Discard, a.Open()); err != nil {
			return err
		}
	}
	return nil
}

// readStdlib reads a message as a program without this package would.
func readStdlib(raw []byte) error {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	for _, name := range []string{"From", "To"} {
		if _, err := m.Header.AddressList(name); err != nil {
			return err
		}
	}
	if _, err := m.Header.Date(); err != nil && m.Header.Get("Date") != "" {
		return err
	}
	for _, values := range m.Header {
		for _, v := range values {
			if _, err := new(mime.WordDecoder).DecodeHeader(v); err != nil {
				return err
			}
		}
	}
	mediaType, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(mediaType, "multipart/") {
		return readContent(m.Body, m.Header.Get("Content-Transfer-Encoding"), mediaType)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		mediaType, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			return err
		}
		if err := readContent(p, p.Header.Get("Content-Transfer-Encoding"), mediaType); err != nil {
			return err
		}
	}
}

// readContent reads text into memory and anything else past it.
func readContent(r io.Reader, encoding, mediaType string) error {
	switch encoding {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	if !strings.HasPrefix(mediaType, "text/") {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	text, err := io.ReadAll(r)
	if err == nil && !utf8.ValidString(string(text)) {
		err = errors.New("it is not UTF-8")
	}
	return err
}
