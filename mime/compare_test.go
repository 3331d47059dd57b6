package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"testing"

	"github.com/emersion/go-message"
)

// Each benchmark here reads the same message in several ways, so that their ratios
// hold in one run, however busy the machine is.

// BenchmarkAttachment25MiB reads a 25 MiB attachment: the bytes alone in 256 KB
// blocks, ours (its content, and with it the parse that measures it), go-message.
func BenchmarkAttachment25MiB(b *testing.B) {
	raw := withAttachment(25<<20, 76, "\r\n")
	f := inFile(b, raw)
	size := int64(len(raw))
	m, err := Parse(f, size, DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, read func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	buf := make([]byte, 256<<10)
	run("bytes", func() error {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.NewSectionReader(f, 0, size), buf)
		return err
	})
	run("content", func() error {
		_, err := io.Copy(io.Discard, m.Attachments[0].Open())
		return err
	})
	run("parse and content", func() error {
		m, err := Parse(f, size, DefaultLimits())
		if err == nil {
			_, err = io.Copy(io.Discard, m.Attachments[0].Open())
		}
		return err
	})
	run("go-message", func() error {
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

// BenchmarkMessage10KB reads a whole message of 10 KB: ours with its content, and
// net/mail with mime/multipart and encoding/base64.
func BenchmarkMessage10KB(b *testing.B) {
	raw := withAttachment(7<<10, 76, "\r\n")
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			m := parseBytes(b, raw)
			if _, err := io.Copy(io.Discard, m.Attachments[0].Open()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if err := readStdlib(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func readStdlib(raw []byte) error {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var content io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			content = base64.NewDecoder(base64.StdEncoding, p)
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return err
		}
	}
}
