package delivery

import (
	"context"
	"errors"
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
