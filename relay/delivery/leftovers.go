package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
)

// orphanSettle is how long a draft whose id was never learned may still appear.
const orphanSettle = 10 * time.Minute

// leftover tells whether the message that ends so may leave a draft behind. Of one
// made from MIME nothing but its id tells that it is ours.
func (j *job) leftover(s queue.State) bool {
	unknown := j.p.DraftWanted && j.p.Path != pathMIME && j.p.Path != pathSendMail
	return j.p.LateDraft && (s == queue.Sent || s == queue.Failed) || s == queue.Failed && (unknown || j.p.DraftID != "")
}

// sweep removes what messages that ended or were deleted have left behind.
func (d *Deliverer) sweep(ctx context.Context) {
	after := ""
	for {
		id, err := d.sweepNext(ctx, after)
		if errors.Is(err, queue.ErrNotFound) {
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				d.log.Error("cannot look after the drafts of messages that ended", "error", err)
			}
			return
		}
		after = id
	}
}

// sweepNext looks after one orphan. Its time begins before it is read, so that none is
// worked on that has become a message again.
func (d *Deliverer) sweepNext(ctx context.Context, after string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, queue.CleanupTime)
	defer cancel()
	o, err := d.work.NextCleanup(ctx, after)
	if err == nil && d.clearAway(ctx, o) {
		err = d.work.EndCleanup(context.WithoutCancel(ctx), o.ID)
	}
	return o.ID, err
}

// clearAway tells whether nothing is left to be done about the orphan.
func (d *Deliverer) clearAway(ctx context.Context, o queue.Cleanup) bool {
	j := &job{d: d, task: queue.Task{Record: o.Record}, log: d.log.With("id", o.ID)}
	err := j.readProgress()
	if err != nil {
		j.log.Error("cannot look after the draft of a message that ended", "error", err)
		return true
	}
	if j.client, err = d.clients(o.Lane); err != nil {
		return !errors.Is(err, graph.ErrNotConnected) || time.Since(o.Since) >= max(d.cfg.GiveUpAfter, orphanSettle)
	}
	j.findOwner(ctx)
	settled, err := j.removeUnsent(ctx)
	if err != nil {
		given := time.Since(o.Since) >= max(d.cfg.GiveUpAfter, orphanSettle)
		if given {
			j.log.Warn("a draft of an ended message may be left in the mailbox", "lane", o.Lane.String(), "error", err)
		} else {
			j.log.Debug("a draft of an ended message was not removed yet", "lane", o.Lane.String(), "error", err)
		}
		return given
	}
	return settled || time.Since(o.Since) >= orphanSettle
}

// removeUnsent removes the message's drafts, but no copy of what was sent and nothing
// that is on its way. settled: no other can appear.
func (j *job) removeUnsent(ctx context.Context) (settled bool, err error) {
	ids, err := j.unsent(ctx)
	for _, id := range ids {
		item, _, failed := j.mailbox().Item(ctx, id)
		if failed == nil && item.IsDraft && !item.Submitted() {
			_, failed = j.mailbox().Delete(ctx, id)
			if failed == nil {
				j.log.Info("draft of an ended message removed", "draft", id)
			}
		}
		if failed != nil && !graph.NotFound(failed) {
			err = failed
		}
	}
	return j.p.DraftID != "" && !j.p.LateDraft, err
}

// unsent lists what may be a draft of this message that nobody sends. As long as the
// item that was sent is not found, another may be that item under another id.
func (j *job) unsent(ctx context.Context) (ids []string, err error) {
	known := j.p.DraftID
	if known != "" && j.task.State != queue.Sent {
		ids = append(ids, known)
	}
	if known != "" && !j.p.LateDraft {
		return ids, nil
	}
	items, _, err := j.mailbox().FindByQueueID(ctx, j.task.ID)
	if j.task.State == queue.Sent && known != "" && !slices.ContainsFunc(items, func(i graph.Item) bool { return i.ID == known }) {
		return nil, err
	}
	for _, item := range items {
		if item.IsDraft && item.ID != known {
			ids = append(ids, item.ID)
		}
	}
	return ids, err
}
