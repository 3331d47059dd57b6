package queuetest_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/queue/queuetest"
)

// TestSharedMemory runs the suite on a storage that nodes share, and so what several of them
// may expect.
func TestSharedMemory(t *testing.T) {
	var mu sync.Mutex
	stored := map[string]*sharedMemory{} // by directory
	open := func(t *testing.T, dir string) *queue.Queue {
		mu.Lock()
		defer mu.Unlock()
		if stored[dir] == nil {
			stored[dir] = &sharedMemory{newMemory()}
			stored[dir].divided = true
		}
		return queue.New(stored[dir], queue.NewFollower(time.Now(), nil))
	}
	queuetest.Run(t, func(t *testing.T, dir string) *queue.Queue {
		q := open(t, dir)
		if err := q.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		return q
	})
	queuetest.RunShared(t, open)
	t.Run("move", func(t *testing.T) { queuetest.RunMove(t, open, open) })
}

// sharedMemory implements queue.Shared.
type sharedMemory struct{ *memory }

func (m *sharedMemory) Owner(_ context.Context, l queue.Lane) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, of := range m.lanes {
		if of.Lane == l {
			return of.owner, nil
		}
	}
	return "", nil
}

func (m *sharedMemory) Notes(_ context.Context, scope string, now time.Time) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	notes := map[string]string{}
	for _, n := range m.notes {
		if n.Scope == scope && n.Expires.After(now) {
			notes[n.Key] = n.Value
		}
	}
	return notes, nil
}

func (t *sharedTx) Note(scope, key string, now time.Time) (queue.Note, error) {
	n, ok := t.notes[[2]string{scope, key}]
	if !ok || !n.Expires.After(now) {
		return queue.Note{}, queue.ErrNotFound
	}
	return n, nil
}

func (t *sharedTx) SetNote(n queue.Note) error {
	t.notes[[2]string{n.Scope, n.Key}] = n
	return nil
}

func (t *sharedTx) DropNotes(now time.Time) error {
	maps.DeleteFunc(t.notes, func(_ [2]string, n queue.Note) bool { return !n.Expires.After(now) })
	return nil
}

// sharedTx implements queue.SharedTx.
type sharedTx struct{ *tx }

// mayServe reports whether the lane is the node's or nobody's.
func (t *tx) mayServe(l lane, node string) bool {
	return !t.divided || l.owner == "" || l.owner == node
}

func (t *tx) setOwner(id queue.LaneID, node string) lane {
	l := t.lanes[id]
	l.owner = node
	l.epoch++
	t.lanes[id] = l
	return l
}

func (t *sharedTx) Own(id queue.LaneID, node string) (int64, string, error) {
	l := t.setOwner(id, node)
	return l.epoch, l.carry, nil
}

func (l lane) heldUnder(ref queue.LaneRef) bool {
	return l.Lane == ref.Lane && l.owner == ref.Node && l.epoch == ref.Epoch
}

func (t *sharedTx) Holds(ref queue.LaneRef) error {
	for _, l := range t.lanes {
		if l.heldUnder(ref) {
			return nil
		}
	}
	return queue.ErrFenced
}

func (t *sharedTx) Decline(queue.LaneID) {}

func (t *sharedTx) Disown(id queue.LaneID) error {
	t.setOwner(id, "")
	return nil
}

func (t *sharedTx) busy(id queue.LaneID) bool {
	return len(t.find(func(m message) bool { return m.lane == id && m.State == queue.Delivering })) > 0
}

func (t *sharedTx) DisownIdle(node string, before time.Time, limit int) (int, error) {
	var idle []queue.LaneID
	for id, l := range t.lanes {
		if l.owner == node && l.served.Before(before) && !t.busy(id) {
			idle = append(idle, id)
		}
	}
	slices.SortFunc(idle, func(a, b queue.LaneID) int {
		return cmp.Or(t.lanes[a].served.Compare(t.lanes[b].served), cmp.Compare(a, b))
	})
	idle = idle[:min(limit, len(idle))]
	for _, id := range idle {
		t.setOwner(id, "")
	}
	return len(idle), nil
}

func (t *sharedTx) DisownDead(now time.Time) error {
	for id, l := range t.lanes {
		if l.owner != "" && !t.nodes[l.owner].Lease.After(now) && !t.busy(id) {
			t.setOwner(id, "")
		}
	}
	return nil
}

func (t *sharedTx) LaneCounts(now time.Time) (map[string]int, error) {
	counts := map[string]int{}
	for id, l := range t.lanes {
		due := t.firstDue(id)
		ready := !due.IsZero() && !due.After(now) && !t.pausedUntil(l.Lane).After(now)
		if l.owner != "" || ready {
			counts[l.owner]++
		}
	}
	return counts, nil
}

func (t *sharedTx) SetCarry(carry map[queue.LaneRef]string) error {
	for id, l := range t.lanes {
		for ref, c := range carry {
			if l.heldUnder(ref) {
				l.carry = c
				t.lanes[id] = l
			}
		}
	}
	return nil
}

var _ queue.Shared = (*sharedMemory)(nil)

// silent is a storage that does not say that it has made a change, or loses it.
type silent struct {
	*sharedMemory
	unknown, lose bool // of the next change
}

func (s *silent) Update(ctx context.Context, fn func(queue.Tx) error) error {
	unknown, lose := s.unknown, s.lose
	s.unknown, s.lose = false, false
	if unknown && lose {
		return queue.ErrUnknown
	}
	if err := s.sharedMemory.Update(ctx, fn); err != nil || !unknown {
		return err
	}
	return queue.ErrUnknown
}

// TestUnknown has the answers to changes lost: what they have changed is found, and what they
// have not is changed once.
func TestUnknown(t *testing.T) {
	for _, lose := range []bool{false, true} {
		s := &silent{sharedMemory: &sharedMemory{newMemory()}}
		s.divided = true
		q := queue.New(s, queue.NewFollower(time.Now(), nil))
		renewal := queue.Renewal{Node: queue.Node{ID: "a", Name: "a"}, Lease: time.Minute}
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("lose %t: %v", lose, err)
			}
		}
		claim := func() ([]queue.Task, error) {
			tasks, _, err := q.Claim(t.Context(), queue.Claim{Node: "a", Max: 1, PerLane: 1})
			return tasks, err
		}
		_, err := q.Renew(t.Context(), renewal)
		ok(err)
		w, err := q.Create(t.Context())
		ok(err)
		ok(w.Commit(t.Context(), queue.Entry{Lane: queue.Lane{Connection: "c", Mailbox: "m"}}))

		s.unknown, s.lose = true, lose
		if tasks, err := claim(); !errors.Is(err, queue.ErrUnknown) || len(tasks) > 0 {
			t.Fatalf("lose %t: claimed %v, error %v", lose, tasks, err)
		}
		found, err := q.Renew(t.Context(), renewal)
		ok(err)
		if (found.Released == 1) == lose {
			t.Errorf("lose %t: released %d messages that nobody works on", lose, found.Released)
		}
		tasks, err := claim()
		ok(err)
		if len(tasks) != 1 {
			t.Fatalf("lose %t: then claimed %v", lose, tasks)
		}

		s.unknown, s.lose = true, lose
		ok(q.Save(t.Context(), tasks[0].Ref, queue.Progress{Document: []byte(`{}`)}))
		s.unknown, s.lose = true, lose
		sent := queue.Outcome{State: queue.Sent}
		if err := q.Finish(t.Context(), tasks[0].Ref, sent); !errors.Is(err, queue.ErrUnknown) {
			t.Errorf("lose %t: the first Finish returned %v", lose, err)
		}
		ok(q.Finish(t.Context(), tasks[0].Ref, sent))
		if err := q.Finish(t.Context(), tasks[0].Ref, sent); !errors.Is(err, queue.ErrFenced) {
			t.Errorf("lose %t: the third Finish returned %v", lose, err)
		}
	}
}
