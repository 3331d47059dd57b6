package sqlite

import (
	"testing"

	"graphrelay/relay/queue"
)

// Whoever reads the queue for long, such as scrapes of a large one, does not keep a claim or the
// reading of a body waiting.
func TestReadersHoldNothingUp(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	id, err := put(t, s, 10)
	if err != nil {
		t.Fatal(err)
	}
	for range readers {
		c, err := s.storage.read.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1})
	if err != nil || len(tasks) != 1 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	if err := checkContent(t, s, id); err != nil {
		t.Error(err)
	}
	if err := s.Finish(t.Context(), tasks[0].Ref, queue.Outcome{State: queue.Sent}); err != nil {
		t.Error(err)
	}
}
