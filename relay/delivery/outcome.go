package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// outcome decides what becomes of the message. A worker that lost its claim, or has to
// stop, decides nothing: it gives the message back.
func (j *job) outcome(ctx context.Context, err error) queue.Outcome {
	r := j.result
	switch {
	case err == nil && r.Status == StatusSent:
		return end(queue.Sent, "", "")
	case ctx.Err() != nil, errors.Is(err, queue.ErrFenced):
		return end(queue.Queued, "", "")
	case errors.Is(err, queue.ErrDamaged):
		return end(queue.Held, reason.Storage, err.Error()) // another attempt would find it damaged too
	case err != nil: // the queue could not be read or written
		return j.retry(reason.Storage, err.Error())
	}
	switch r.Status {
	case StatusPending:
		return j.orGiveUp(confirm(r.Until, "waiting to see whether the message was sent"))
	case StatusRefused:
		return end(queue.Failed, r.Reason, r.Detail)
	case StatusHold:
		return end(queue.Held, r.Reason, r.Detail)
	}
	if r.Pause == PauseNothing {
		return j.retry(r.Reason, r.Detail)
	}
	return j.pause()
}

func end(s queue.State, why reason.Reason, detail string) queue.Outcome {
	return queue.Outcome{State: s, Reason: why, Detail: detail}
}

func deferred(due time.Time, why reason.Reason, detail string) queue.Outcome {
	o := end(queue.Deferred, why, detail)
	o.Due = due
	return o
}

// confirm defers a message that may have been sent, which is no failed attempt.
func confirm(due time.Time, detail string) queue.Outcome {
	o := deferred(due, reason.Confirming, detail)
	o.Uncount = true
	return o
}

// retry defers the message by the retry schedule.
func (j *job) retry(why reason.Reason, detail string) queue.Outcome {
	return j.orGiveUp(deferred(time.Now().Add(j.d.retryDelay(j.task.Attempts)), why, detail))
}

// retryDelay returns the wait after so many attempts. It adds up to a tenth, so that
// messages which failed together do not come back together.
func (d *Deliverer) retryDelay(attempts int) time.Duration {
	delays := d.cfg.RetryDelays
	base := delays[min(max(attempts, 1), len(delays))-1]
	return base + rand.N(base/10+1)
}

// pause pauses the lane, or the connection, and defers the message until then.
func (j *job) pause() queue.Outcome {
	r, lane := j.result, j.task.Lane
	if r.Pause == PauseConnection {
		lane = lane.Whole()
	}
	until := time.Now().Add(r.Wait)
	if err := j.d.work.Pause(context.Background(), lane, until, r.Reason); err != nil {
		j.log.Error("cannot pause", "lane", lane.String(), "error", err)
	}
	o := j.orGiveUp(deferred(until, r.Reason, r.Detail))
	o.Uncount = r.Blameless
	return o
}

// orGiveUp fails a message that has waited too long, unless it may have been sent: then
// it is held for an operator to look.
func (j *job) orGiveUp(o queue.Outcome) queue.Outcome {
	if time.Since(j.task.Received) < j.d.cfg.GiveUpAfter || j.result.Doubt == Watched {
		return o
	}
	if j.result.Doubt == InDoubt {
		return end(queue.Held, reason.SendUnknown, "gave up while it was unknown whether the message was sent; last: "+o.Detail)
	}
	j.gaveUp = true
	return end(queue.Failed, o.Reason, "gave up after "+j.d.cfg.GiveUpAfter.String()+"; last: "+o.Detail)
}
