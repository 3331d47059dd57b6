package delivery

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
)

// warn tells the senders of what waits for longer than usual.
func (d *Deliverer) warn(ctx context.Context) {
	if d.cfg.WarnAfter <= 0 {
		return
	}
	for warned := 1; warned > 0 && ctx.Err() == nil; {
		late, err := d.work.Overdue(ctx, time.Now().Add(-d.cfg.WarnAfter), d.cfg.Postmaster)
		warned = 0
		for _, r := range late {
			switch failed := d.warnOf(ctx, r); {
			case failed == nil:
				warned++
			case !errors.Is(failed, queue.ErrFenced): // else it is being tried
				err = failed
			}
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot warn of messages that wait", "error", err)
			return
		}
	}
}

// warnOf decides for good whether the message is warned of.
func (d *Deliverer) warnOf(ctx context.Context, r queue.Record) error {
	j := &job{d: d, task: queue.Task{Record: r}, log: d.log.With("id", r.ID)}
	defer j.close()
	o := j.notify(queue.Outcome{State: queue.Deferred, Reason: r.Reason, Detail: r.Detail}, bounce.Delayed)
	err := d.work.MarkWarned(ctx, r.ID, o.Notification, j.events...)
	if err == nil && o.Notification != nil {
		j.log.Info("the sender is told of the delay", "lane", r.Lane.String(), "notification", o.Notification.ID)
	}
	return err
}
