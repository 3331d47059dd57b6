package queue

import (
	"context"
	"errors"
	"slices"
)

// ErrAtWork is returned where no relay may work on the queue.
var ErrAtWork = errors.New("a relay works on the queue; stop it, and wait until its lease has ended")

// Restored implements Controller.
func (q *Queue) Restored(ctx context.Context, by string) (changed int, err error) {
	nodes, err := q.storage.Nodes(ctx)
	if err != nil {
		return 0, err
	}
	if slices.ContainsFunc(nodes, func(n NodeStatus) bool { return n.State(q.clock.Now()) != Gone }) {
		return 0, ErrAtWork
	}
	f := Filter{States: []State{Queued, Deferred, Delivering, Held}, Limit: applyBatch}
	for {
		list, err := q.storage.List(ctx, f)
		if err != nil || len(list) == 0 {
			return changed, err
		}
		err = q.storage.Update(ctx, func(tx Tx) error {
			for _, r := range list {
				if err := q.doubt(tx, r.ID, by); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return changed, err
		}
		changed += len(list)
		f.After = list[len(list)-1].ID
	}
}

// doubt records that a message may have been delivered since the backup was made.
func (q *Queue) doubt(tx Tx, id, by string) error {
	s, err := tx.Status(id)
	if err != nil {
		return err
	}
	s.Progress.Leftover, s.Progress.InDoubt = true, true
	s.Fence++
	if s.State == Delivering {
		s.State, s.Due, s.Node = Queued, q.clock.Now(), ""
	}
	if err := tx.SetStatus(id, s); err != nil {
		return err
	}
	return tx.AddEvents(id, Event{What: "queue restored", Detail: "by " + by + "; it may have been sent since the backup, and is looked for before it is sent"})
}
