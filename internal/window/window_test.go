package window

import (
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

func TestWait(t *testing.T) {
	w := New[int32](time.Minute, 60)
	if wait := w.Wait(start, 11, 10); wait != time.Minute {
		t.Errorf("more than the limit waits %v, not the whole length", wait)
	}
	w.Add(start, 6)
	w.Add(start.Add(30*time.Second), 4)
	now := start.Add(40 * time.Second)
	for n, want := range map[int32]time.Duration{0: 0, 1: 21 * time.Second, 6: 21 * time.Second, 7: 51 * time.Second} {
		if wait := w.Wait(now, n, 10); wait != want {
			t.Errorf("%d more wait %v, want %v", n, wait, want)
		}
	}
	if wait := w.Wait(now, 100, 0); wait != 0 {
		t.Errorf("without a limit the wait is %v", wait)
	}
	w.Add(start, -6) // undone
	if wait := w.Wait(now, 6, 10); wait != 0 || w.Sum(now) != 4 {
		t.Errorf("after an undo the wait is %v, the sum %d", wait, w.Sum(now))
	}
	w.Add(now.Add(-time.Hour), 5)
	if w.Sum(now) != 4 {
		t.Error("what was an hour ago counts")
	}
	w.Add(now.Add(-10*time.Second), 1) // a clock that goes back
	if w.Sum(now) != 5 || w.Sum(now.Add(time.Hour)) != 0 {
		t.Error("the sum does not follow the clock")
	}
}

// No stretch of the window's length ever holds more than the limit, and what is within
// the limit waits for a slot at most.
func TestWindow(t *testing.T) {
	const limit, length, slots = 20, time.Second, 10
	w := New[int64](length, slots)
	r := rand.New(rand.NewPCG(1, 2))
	type entry struct {
		at time.Time
		n  int64
	}
	var all []entry
	held := func(now time.Time, span time.Duration) (sum int64) {
		for _, e := range all {
			if now.Sub(e.at) < span {
				sum += e.n
			}
		}
		return sum
	}
	now := start
	for range 1000 {
		now = now.Add(time.Duration(r.IntN(60)) * time.Millisecond)
		n := 1 + r.Int64N(5)
		wait := w.Wait(now, n, limit)
		if wait > 0 && held(now, length+length/slots)+n <= limit {
			t.Fatalf("%d wait for no reason", n)
		}
		now = now.Add(wait)
		if w.Wait(now, n, limit) != 0 {
			t.Fatalf("after %v it waits still", wait)
		}
		w.Add(now, n)
		all = append(all, entry{now, n})
		if sum := held(now, length); sum > limit {
			t.Fatalf("%d within %v", sum, length)
		}
	}
}
