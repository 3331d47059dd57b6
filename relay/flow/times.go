package flow

import (
	"math"
	"time"
)

// times counts durations in buckets, each a tenth wider than the one before. So a quantile is off
// by at most a twentieth.
type times struct {
	buckets []uint32 // nil: none
}

const (
	shortest = time.Millisecond
	growth   = 1.1
	// most is the number of buckets up to a week, which is longer than a message waits.
	most = 213
)

func (t *times) add(d time.Duration) {
	if t.buckets == nil {
		t.buckets = make([]uint32, most)
	}
	t.buckets[bucket(d)]++
}

// bucket returns the number of the bucket of a duration.
func bucket(d time.Duration) int {
	if d <= shortest {
		return 0
	}
	i := int(math.Ceil(math.Log(float64(d)/float64(shortest)) / math.Log(growth)))
	return min(i, most-1)
}

func (t *times) merge(o *times) {
	if o.buckets == nil {
		return
	}
	if t.buckets == nil {
		t.buckets = make([]uint32, most)
	}
	for i, n := range o.buckets {
		t.buckets[i] += n
	}
}

// quantile returns the seconds that a share q of all durations does not exceed, or 0 if there is
// none.
func (t *times) quantile(q float64) float64 {
	var sum uint64
	for _, n := range t.buckets {
		sum += uint64(n)
	}
	if sum == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(sum)))
	for i, n := range t.buckets {
		if n := uint64(n); rank > n {
			rank -= n
			continue
		}
		// The middle of the bucket.
		return shortest.Seconds() * math.Pow(growth, float64(i)-.5)
	}
	return 0
}
