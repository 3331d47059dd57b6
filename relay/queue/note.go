package queue

import (
	"context"
	"time"
)

// Note is a short text that nodes leave for one another.
type Note struct {
	Scope   string // what it is for
	Key     string // which one of them
	Value   string
	Expires time.Time // by the queue's clock
}

// SetNote implements Notes.
func (q *Queue) SetNote(ctx context.Context, n Note, keep time.Duration) error {
	if !q.Shared() {
		return ErrNotShared
	}
	return q.storage.Update(ctx, func(tx Tx) error {
		n.Expires = q.clock.Now().Add(keep)
		return tx.(SharedTx).SetNote(n)
	})
}

// Notes implements Notes.
func (q *Queue) Notes(ctx context.Context, scope string) (map[string]string, error) {
	if !q.Shared() {
		return nil, ErrNotShared
	}
	return q.shared.Notes(ctx, scope, q.clock.Now())
}
