package graph

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// The encoding is the standard library's, whatever is read at a time.
func TestBase64Reader(t *testing.T) {
	content := make([]byte, 60_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	for _, size := range []int{0, 1, 2, 3, 4, 5, 6, 100, 24 << 10, 24<<10 + 1, 48<<10 + 2, len(content)} {
		want := []byte(base64.StdEncoding.EncodeToString(content[:size]))
		if err := iotest.TestReader(&base64Reader{src: bytes.NewReader(content[:size])}, want); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if err := iotest.TestReader(&base64Reader{src: iotest.OneByteReader(bytes.NewReader(content[:size]))}, want); err != nil {
			t.Errorf("%d bytes, one at a time: %v", size, err)
		}
		for _, room := range []int{1, 2, 3, 4, 5, 7, 4095, 16 << 10} {
			r := &base64Reader{src: bytes.NewReader(content[:size])}
			var got []byte
			for p := make([]byte, room); ; {
				n, err := r.Read(p)
				got = append(got, p[:n]...)
				if err != nil {
					break
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, read %d at a time: %d are not what they should be", size, room, len(got))
			}
		}
	}
}

// A file that cannot be read is not sent as a shorter one.
func TestBase64ReaderFails(t *testing.T) {
	for _, room := range []int{1, 4, 16 << 10} {
		r := &base64Reader{src: iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(make([]byte, 30_000))))}
		p := make([]byte, room)
		var err error
		for err == nil {
			_, err = r.Read(p)
		}
		if err != iotest.ErrTimeout {
			t.Errorf("read %d at a time: %v", room, err)
		}
	}
}
