// Package window counts amounts in a sliding window of time, to keep a rate within a limit.
//
// Time is divided into slots. An amount counts until the whole slot in which it was added
// has left the window. So it may count for one slot too long, but no period of the window's
// length ever has more than the limit.
package window

import "time"

// Window is a sliding window. It is not safe for concurrent use, and must not be copied after
// its first use. Create one with New.
type Window[N int32 | int64] struct {
	slot   time.Duration
	size   int64 // of the ring
	counts []N   // a ring of all slots of the length, and the current one; nil as long as nothing was added
	last   int64 // number of the current slot since 1970
	sum    N
}

// New returns an empty window of a length that is divided into slots.
func New[N int32 | int64](length time.Duration, slots int) Window[N] {
	return Window[N]{slot: max(length/time.Duration(slots), 1), size: int64(slots + 1)}
}

// Add adds n, which may be negative to undo another Add, at a time. It does nothing if that
// is no longer in the window.
func (w *Window[N]) Add(at time.Time, n N) {
	if n == 0 {
		return
	}
	if w.counts == nil { // many windows of many mailboxes count nothing
		w.counts = make([]N, w.size)
	}
	i := w.number(at)
	w.move(i)
	if i > w.last-w.size {
		*w.count(i) += n
		w.sum += n
	}
}

// Sum returns the sum of the amounts in the window.
func (w *Window[N]) Sum(now time.Time) N {
	w.move(w.number(now))
	return w.sum
}

// Wait returns how long it takes until n more are within the limit. It returns 0 if they are
// now, or if limit is 0, which means that there is none. If n exceeds the limit it returns
// the whole length.
func (w *Window[N]) Wait(now time.Time, n, limit N) time.Duration {
	sum := w.Sum(now)
	if limit == 0 || n == 0 || sum+n <= limit {
		return 0
	}
	for i := w.oldest(); i <= w.last; i++ {
		count := *w.count(i)
		if sum -= count; count > 0 && sum+n <= limit {
			return time.Unix(0, (i+w.size)*int64(w.slot)).Sub(now)
		}
	}
	return w.slot * time.Duration(w.size-1)
}

// Each calls do for each amount in the window, oldest first, with the middle of its slot, but no
// later time than now. So what is added to another window at these times, and from there to this
// one again, comes to the same slots, also if the times are off by a little.
func (w *Window[N]) Each(now time.Time, do func(at time.Time, n N)) {
	w.move(w.number(now))
	for i := w.oldest(); i <= w.last; i++ {
		if n := *w.count(i); n != 0 {
			middle := time.Unix(0, i*int64(w.slot)+int64(w.slot)/2)
			if middle.After(now) {
				middle = now
			}
			do(middle, n)
		}
	}
}

// oldest returns the number of the first slot that counts, or one behind the last if none does.
func (w *Window[N]) oldest() int64 { return w.last - int64(len(w.counts)) + 1 }

func (w *Window[N]) number(t time.Time) int64 { return t.UnixNano() / int64(w.slot) }

func (w *Window[N]) count(i int64) *N { return &w.counts[((i%w.size)+w.size)%w.size] }

// move makes slot i the current one. It does nothing if the clock has gone back.
func (w *Window[N]) move(i int64) {
	if w.counts == nil {
		w.last = max(w.last, i)
		return
	}
	w.last = max(w.last, i-w.size) // each slot is emptied once
	for ; w.last < i; w.last++ {
		next := w.count(w.last + 1)
		w.sum -= *next
		*next = 0
	}
}
