package delivery

import (
	"context"
	"errors"

	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
)

// warnOfDelays warns the senders of messages that have waited for WarnAfter.
func (d *Deliverer) warnOfDelays(ctx context.Context) {
	if d.cfg.WarnAfter <= 0 {
		return
	}
	for warned := 1; warned > 0 && ctx.Err() == nil; {
		overdue, err := d.work.Overdue(ctx, d.work.Now().Add(-d.cfg.WarnAfter), d.cfg.Postmaster)
		warned = 0
		for _, r := range overdue {
			switch failed := d.warnOf(ctx, r); {
			case failed == nil:
				warned++
			case !errors.Is(failed, queue.ErrFenced): // otherwise it is in delivery now
				err = failed
			}
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot warn of overdue messages", "error", err)
			return
		}
	}
}

// warnOf warns the sender of the message, or records that nobody is to be warned.
func (d *Deliverer) warnOf(ctx context.Context, r queue.Record) error {
	j := d.newJob(queue.Task{Record: r}, nil)
	defer j.a.CloseBody()
	o := j.notify(queue.Outcome{State: queue.Deferred, Reason: r.Reason, Detail: r.Detail}, bounce.Delayed)
	var warning *queue.Submission
	if len(o.Notifications) > 0 {
		warning = o.Notifications[0]
	}
	err := d.work.MarkWarned(ctx, r.ID, warning, j.a.notes...)
	if err == nil && warning != nil {
		j.log.Info("warned the sender of the delay", "lane", r.Lane.String(), "notification", warning.ID)
	}
	return err
}
