package sqlite

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// Content that is kept after it was sent goes when the disk is short of space, long before new
// mail is refused for that.
func TestKeptContentGivesWay(t *testing.T) {
	files := &faultyFiles{}
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true, files: files})
	id := putEntry(t, s, testEntry)
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1})
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	if err := s.Finish(t.Context(), tasks[0].Ref, queue.Outcome{State: queue.Sent, Keep: true}); err != nil {
		t.Fatal(err)
	}
	keep := queue.Retention{Sent: time.Hour, SentMessages: 10, SentContent: time.Hour, FreeSpace: 500}
	for _, free := range []int64{1001, 999} {
		files.mu.Lock()
		files.free = free
		files.mu.Unlock()
		if _, err := s.Expire(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if err := s.CheckCapacity(t.Context(), 1, queue.Limits{FreeSpace: keep.FreeSpace}, queue.Origin{}); err != nil {
			t.Errorf("with %d bytes free, new mail is refused: %v", free, err)
		}
		if r, _, err := s.Get(t.Context(), id); err != nil || r.HasContent != (free == 1001) {
			t.Errorf("with %d bytes free, it has content: %v, %v", free, r.HasContent, err)
		}
	}
}
