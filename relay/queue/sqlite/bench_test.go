package sqlite

import (
	"bytes"
	"strconv"
	"sync"
	"testing"

	"graphrelay/relay/queue"
)

func BenchmarkAccept(b *testing.B) {
	s, err := Open(b.Context(), Options{Dir: b.TempDir(), Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := bytes.Repeat([]byte("x"), 10<<10)
	b.SetBytes(int64(len(body)))
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w, err := s.Create(b.Context())
			if err == nil {
				_, err = w.Write(body)
			}
			if err == nil {
				err = w.Commit(b.Context(), testEntry)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkClaim measures a claim and its end with so many messages waiting.
func BenchmarkClaim(b *testing.B) {
	for _, waiting := range []int{100, 100_000} {
		b.Run(strconv.Itoa(waiting), func(b *testing.B) {
			s, err := Open(b.Context(), Options{Dir: b.TempDir(), Exclusive: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			fill(b, s, waiting)
			for b.Loop() {
				claimAndFinish(b, s)
			}
		})
	}
}

// claimAndFinish claims a message and gives it back.
func claimAndFinish(b *testing.B, q *queue.Queue) {
	b.Helper()
	tasks, _, err := q.Claim(b.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 4})
	if err != nil || len(tasks) != 1 {
		b.Fatalf("claimed %d, %v", len(tasks), err)
	}
	if err := q.Finish(b.Context(), tasks[0].Ref, queue.Outcome{State: queue.Queued}); err != nil {
		b.Fatal(err)
	}
}

// fill queues messages in fifty lanes.
func fill(b *testing.B, s *queue.Queue, messages int) {
	b.Helper()
	var wg sync.WaitGroup
	for p := range 64 {
		wg.Go(func() {
			for i := p; i < messages; i += 64 {
				w, err := s.Create(b.Context())
				if err == nil {
					_, err = w.Write([]byte("x"))
				}
				e := testEntry
				e.Lane.Mailbox = strconv.Itoa(i % 50)
				if err == nil {
					err = w.Commit(b.Context(), e)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
