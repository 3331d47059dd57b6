package delivery

import (
	"context"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
)

const (
	sweepEvery = time.Minute
	// orphanSettle is how long a draft whose id was never learned may still appear.
	orphanSettle = 10 * time.Minute
)

// sweep removes the drafts of messages that the operator deleted.
func (d *Deliverer) sweep(ctx context.Context) {
	for {
		orphans, err := d.work.Orphans(ctx)
		for _, o := range orphans {
			if d.clearAway(ctx, o) {
				err = d.work.Forget(ctx, o.ID)
			}
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot look after deleted messages", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
	}
}

// clearAway tells whether nothing is left to be done about the orphan.
func (d *Deliverer) clearAway(ctx context.Context, o queue.Orphan) bool {
	j := &job{d: d, client: d.clients[o.Lane.Connection], task: queue.Task{Record: o.Record}, p: o.Progress, log: d.log.With("id", o.ID)}
	if j.client == nil {
		return true
	}
	if err := j.removeUnsent(ctx); err != nil {
		given := time.Since(o.Deleted) >= d.cfg.GiveUpAfter
		if ctx.Err() == nil {
			j.log.Warn("the draft of a deleted message was not removed", "lane", o.Lane.String(), "error", err, "given_up", given)
		}
		return given
	}
	return o.Progress.DraftID != "" || time.Since(o.Deleted) >= orphanSettle
}

// removeUnsent removes the message's draft, but no copy of what was sent and nothing
// that is on its way.
func (j *job) removeUnsent(ctx context.Context) error {
	ids, err := j.drafts(ctx)
	for _, id := range ids {
		item, _, failed := j.client.Look(ctx, j.mailbox(), id)
		if failed == nil && item.IsDraft && !item.Submitted() {
			_, failed = j.client.Delete(ctx, j.mailbox(), id)
			j.log.Info("draft of a deleted message removed", "error", failed)
		}
		if failed != nil && !graph.NotFound(failed) {
			err = failed
		}
	}
	return err
}
