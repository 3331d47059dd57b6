package graph

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"testing"
)

// BenchmarkAttachmentBody makes the request for a file of 2.9 MB, the largest that goes without
// an upload session, and reads its body as net/http does. For comparison it reads the file alone,
// and encodes it by encoding/base64. benchstat -col /by compares them.
func BenchmarkAttachmentBody(b *testing.B) {
	content := make([]byte, 2_900_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	file := Attachment{Name: "scan.pdf", ContentType: "application/pdf", Size: int64(len(content)),
		Open: func() io.Reader { return struct{ io.Reader }{bytes.NewReader(content)} }}
	buf := make([]byte, 32<<10)
	discard := struct{ io.Writer }{io.Discard}
	by := func(name string, read func() error) {
		b.Run("by="+name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	by("bytes", func() error {
		_, err := io.CopyBuffer(discard, file.Open(), buf)
		return err
	})
	by("base64", func() error {
		w := base64.NewEncoder(base64.StdEncoding, discard)
		if _, err := io.CopyBuffer(w, file.Open(), buf); err != nil {
			return err
		}
		return w.Close()
	})
	by("relay", func() error {
		var r request
		if err := r.jsonWith(fileAttachmentOf(file), file.content()); err != nil {
			return err
		}
		_, err := io.CopyBuffer(discard, r.body(), buf)
		return err
	})
}
