package verdict

import (
	"context"
	"sync"
	"testing"
)

func TestWaiters(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	refused := Verdict{Refused: true, Text: "no"}
	w := NewWaiters()
	if w.Claim("a") != nil || (*Waiters)(nil).Claim("a") != nil {
		t.Error("somebody waits")
	}
	(*Waiter)(nil).Tell(refused)

	x := w.Expect("a")
	w.Claim("a").Tell(refused)
	if got := x.Await(t.Context()); got != refused {
		t.Errorf("got %+v", got)
	}
	x = w.Expect("a")
	if got := x.Await(over); got != (Verdict{}) || w.Claim("a") != nil {
		t.Errorf("who gave up got %+v, or is still waited for", got)
	}
	x = w.Expect("a")
	y := w.Claim("a")
	go y.Tell(refused)
	if got := x.Await(over); got != refused {
		t.Errorf("a decision that had begun gave %+v", got)
	}
}

// Exactly one side has the word, however they meet.
func TestWaitersRace(t *testing.T) {
	w := NewWaiters()
	for range 2000 {
		x := w.Expect("a")
		ctx, cancel := context.WithCancel(t.Context())
		var told, heard bool
		var wg sync.WaitGroup
		wg.Go(cancel)
		wg.Go(func() {
			if y := w.Claim("a"); y != nil {
				told = true
				y.Tell(Verdict{Refused: true})
			}
		})
		wg.Go(func() { heard = x.Await(ctx).Refused })
		wg.Wait()
		if told != heard {
			t.Fatalf("told %v, heard %v", told, heard)
		}
	}
}
