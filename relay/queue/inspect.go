package queue

import (
	"context"
	"time"
)

// List implements Inspector.
func (q *Queue) List(ctx context.Context, f Filter) ([]Record, error) {
	list, err := q.storage.List(ctx, f)
	for i := range list {
		q.toWall(&list[i])
	}
	return list, err
}

// Count implements Inspector.
func (q *Queue) Count(ctx context.Context, f Filter) (int64, error) { return q.storage.Count(ctx, f) }

// toWall brings the times of a record to the wall clock.
func (q *Queue) toWall(r *Record) {
	r.Due = q.clock.Wall(r.Due)
	if r.State != Queued && r.State != Deferred || !r.PausedUntil.After(q.clock.Now()) {
		r.PausedUntil = time.Time{}
	}
	r.PausedUntil = q.clock.Wall(r.PausedUntil)
}

// Get implements Inspector.
func (q *Queue) Get(ctx context.Context, id string) (Record, []Event, error) {
	r, events, err := q.storage.Get(ctx, id)
	q.toWall(&r)
	return r, events, err
}

// Open implements Inspector and Work.
func (q *Queue) Open(ctx context.Context, id string) (Body, error) { return q.storage.Open(ctx, id) }

// Receipts implements Inspector.
func (q *Queue) Receipts(ctx context.Context, since time.Time, each func(Receipt)) error {
	return q.storage.Receipts(ctx, q.clock.At(since), func(r Receipt) {
		r.Received = q.clock.Wall(r.Received)
		each(r)
	})
}

// Sends implements Sends.
func (q *Queue) Sends(ctx context.Context, arrived, left time.Time, each func(Send)) error {
	return q.storage.Sends(ctx, arrived, left, each)
}

// Stats implements Inspector.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	st, err := q.storage.Stats(ctx)
	st.Oldest = q.clock.Wall(st.Oldest)
	return st, err
}

// Lanes implements Inspector.
func (q *Queue) Lanes(ctx context.Context) ([]LaneStatus, error) {
	list, err := q.storage.Lanes(ctx, q.clock.Now())
	for i := range list {
		list[i].PausedUntil = q.clock.Wall(list[i].PausedUntil)
	}
	return list, err
}
