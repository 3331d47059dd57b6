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
		t.Error("there is a waiter")
	}
	(*Waiter)(nil).Decide(refused)

	x := w.Expect("a")
	w.Claim("a").Decide(refused)
	if got := x.Await(t.Context()); got != refused {
		t.Errorf("got %+v", got)
	}
	x = w.Expect("a")
	if got := x.Await(over); got != (Verdict{}) || w.Claim("a") != nil {
		t.Errorf("after giving up got %+v, or is still registered", got)
	}
	x = w.Expect("a")
	y := w.Claim("a")
	go y.Decide(refused)
	if got := x.Await(over); got != refused {
		t.Errorf("a decision that had begun gave %+v", got)
	}
}

// TestWaitersRace checks that a refusal reaches exactly one side, whichever comes first.
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
				y.Decide(Verdict{Refused: true})
			}
		})
		wg.Go(func() { heard = x.Await(ctx).Refused })
		wg.Wait()
		if told != heard {
			t.Fatalf("decided %v, heard %v", told, heard)
		}
	}
}
