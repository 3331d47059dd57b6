package queuetest

import (
	"bytes"
	"io"
	"testing"

	"graphrelay/relay/queue"
)

// view: a message can be read while it is being written, and goes on after that.
func view(t *testing.T, b *bench) {
	for _, size := range []int{10, 300_000} {
		w, err := b.store.Create(t.Context())
		b.ok(err)
		half := bytes.Repeat([]byte("0123456789"), size/10)
		for n := range 2 {
			_, err = w.Write(half)
			b.ok(err)
			want := bytes.Repeat(half, n+1)
			b.ok(w.View(func(message io.ReaderAt) error {
				got := make([]byte, len(want)+1)
				if n, err := message.ReadAt(got, 0); err != io.EOF || !bytes.Equal(got[:n], want) {
					t.Errorf("read %d bytes, %v; want %d", n, err, len(want))
				}
				return nil
			}))
		}
		b.want(w.View(func(io.ReaderAt) error { return queue.ErrFull }), queue.ErrFull)
		b.ok(w.Commit(t.Context(), entry(laneA)))
		body, err := b.store.Open(t.Context(), w.ID())
		b.ok(err)
		b.ok(body.Check())
		b.ok(body.Close())
	}
}
