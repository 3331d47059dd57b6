package delivery

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/queue"
)

// minCleanup is how long a cleanup that fails is tried again at least.
const minCleanup = 10 * time.Minute

// cleanUp removes what messages that ended or were deleted have left behind.
func (d *Deliverer) cleanUp(ctx context.Context) {
	after := ""
	for {
		id, err := d.cleanUpNext(ctx, after)
		if errors.Is(err, queue.ErrNotFound) {
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				d.log.Error("cannot clean up after messages that ended", "error", err)
			}
			return
		}
		after = id
	}
}

// cleanUpNext works on the first cleanup after this ID. Its time starts before it is
// read, so that none is worked on whose message has meanwhile been retried.
func (d *Deliverer) cleanUpNext(ctx context.Context, after string) (id string, err error) {
	ctx, cancel := d.tenure.until(ctx, time.Now().Add(queue.CleanupTime))
	defer cancel()
	c, err := d.work.NextCleanup(ctx, after)
	if err == nil && d.cleanedUp(ctx, c) {
		err = d.work.EndCleanup(context.WithoutCancel(ctx), c)
	}
	return c.ID, err
}

// cleanedUp reports whether the cleanup is done, or has been tried for long enough.
func (d *Deliverer) cleanedUp(ctx context.Context, c queue.Cleanup) bool {
	done, err := d.outlet.Cleanup(ctx, c)
	if err == nil {
		return done
	}
	log := d.log.With("id", c.ID, "lane", c.Lane.String(), "error", err)
	if c.Age < max(d.cfg.GiveUpAfter, minCleanup) {
		log.Debug("a draft of an ended message was not removed yet")
		return false
	}
	log.Warn("a draft of an ended message may be left in the mailbox")
	return true
}
