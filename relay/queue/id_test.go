package queue

import (
	"slices"
	"testing"
	"time"
)

// IDs are in the order in which they were made: within a millisecond, over its end, and where
// somebody else has read the clock a moment later. After the clock was set they follow it.
func TestIDsAreInOrder(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_000)
	var ids []string
	for range 20_000 {
		ids = append(ids, NewID(at))
	}
	ids = append(ids, NewID(at.Add(-time.Millisecond)), NewID(at.Add(time.Second)))
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("the IDs are not in order, or not all are different")
	}
	if first, last := IDTime(ids[0]), IDTime(ids[len(ids)-3]); !first.Equal(at) || last.Sub(at) > overtaken*time.Millisecond {
		t.Errorf("the IDs of %v are those of %v to %v", at, first, last)
	}
	if set := at.Add(-time.Hour); !IDTime(NewID(set)).Equal(set) {
		t.Error("after the clock was set back, the IDs do not follow it")
	}
}
