package delivery

import (
	"context"
	"math/rand/v2"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// retry defers the message by the retry schedule.
func (j *job) retry(why reason.Reason, detail string) queue.Outcome {
	return j.orGiveUp(deferred(j.a.Now().Add(j.d.retryDelay(j.task.Attempts)), why, detail))
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
	until := j.a.Now().Add(min(r.Wait, queue.MaxPause))
	if err := j.d.work.PauseAs(context.Background(), j.task.Tenure, lane, until, r.Reason); err != nil {
		j.unpaused = func() { j.log.Error("cannot pause", "lane", lane.String(), "error", err) }
	}
	o := j.orGiveUp(deferred(until, r.Reason, r.Detail))
	o.Uncount = r.Blameless
	return o
}

// orGiveUp fails a message that has waited too long, unless it may have been sent: then
// it is held for an operator to look.
func (j *job) orGiveUp(o queue.Outcome) queue.Outcome {
	if j.a.Age() < j.d.cfg.GiveUpAfter || j.result.Doubt == Watched {
		return o
	}
	if j.result.Doubt == InDoubt {
		return end(queue.Held, reason.SendUnknown, "gave up while it was unknown whether the message was sent; last: "+o.Detail)
	}
	j.gaveUp = true
	return end(queue.Failed, o.Reason, "gave up after "+j.d.cfg.GiveUpAfter.String()+"; last: "+o.Detail)
}
