package delivery

import (
	"context"
	"errors"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Pauses where Graph does not say how long.
const (
	throttlePause = 10 * time.Second
	outagePause   = 10 * time.Second
	mailboxPause  = 5 * time.Minute
	signInPause   = 30 * time.Second
)

func (j *job) end(s queue.State, why reason.Reason, detail string) queue.Outcome {
	return queue.Outcome{State: s, Reason: why, Detail: detail, Progress: j.p.record(), Events: j.events}
}

func (j *job) later(due time.Time, why reason.Reason, detail string) queue.Outcome {
	o := j.end(queue.Deferred, why, detail)
	o.Due = due
	return o
}

// outcome turns what happened into what becomes of the message. A worker that
// lost its claim, or has to stop, decides nothing.
func (j *job) outcome(ctx context.Context, err error) queue.Outcome {
	var wait pending
	var never unknowable
	var whole unsendable
	var e *graph.Error
	switch {
	case err == nil, errors.Is(err, errSent):
		return j.end(queue.Sent, "", "")
	case ctx.Err() != nil, errors.Is(err, queue.ErrFenced):
		return j.end(queue.Queued, "", "")
	case errors.As(err, &wait):
		o := j.later(wait.until, reason.Confirming, err.Error())
		o.Uncount = true
		return j.orGiveUp(o)
	case errors.As(err, &whole):
		return j.end(queue.Failed, reason.TooLarge, whole.detail)
	case errors.As(err, &never):
		j.forgetDraft() // a release means: make a new one
		j.p.LateDraft = j.p.LateDraft || j.p.Path == pathDraft
		return j.end(queue.Held, reason.SendUnknown, never.detail)
	case errors.As(err, &e):
		j.refusal = e
		j.event("refused", err.Error(), graph.Reply{RequestID: e.RequestID})
		return j.refused(e, err)
	case errors.Is(err, queue.ErrDamaged):
		return j.end(queue.Held, reason.Storage, err.Error()) // no other try would find it whole
	}
	// The queue itself could not be read or written.
	return j.retry(reason.Storage, err.Error())
}

func (j *job) refused(e *graph.Error, err error) queue.Outcome {
	why, detail := reason.Reason(e.Reason), err.Error()
	if do := j.remedy(e); do != "" {
		detail += "; " + do
	}
	switch e.Class {
	case graph.ClassMessage:
		if j.doubtful() {
			return j.retry(why, detail) // it may have been sent: that has to be seen first
		}
		if e.Reason == graph.ReasonMailbox && j.unsure {
			return j.retry(why, err.Error()+"; it may be an alias, whose owner cannot be looked up now") // see Config.Owner
		}
		return j.end(queue.Failed, why, detail)
	case graph.ClassConnection:
		length := outagePause
		if e.Reason == graph.ReasonAuth {
			length = signInPause
		}
		o := j.pause(j.task.Lane.Whole(), e, length, detail)
		o.Uncount = true // it is nobody's fault but the connection's
		return o
	case graph.ClassMailbox:
		if e.Reason == graph.ReasonNotConnected {
			return j.end(queue.Held, why, detail) // whoever sees it connected releases it
		}
		return j.pause(j.task.Lane, e, mailboxPause, detail)
	}
	if e.Reason == graph.ReasonThrottled || e.RetryAfter > 0 {
		o := j.pause(j.task.Lane, e, throttlePause, detail)
		o.Uncount = true
		return o
	}
	return j.retry(why, detail)
}

// pause stops the lane, or the connection, and defers the message until then.
func (j *job) pause(l queue.Lane, e *graph.Error, otherwise time.Duration, detail string) queue.Outcome {
	d := e.RetryAfter
	if d == 0 {
		d = otherwise
	}
	until := time.Now().Add(d)
	if err := j.d.work.Pause(context.Background(), l, until, reason.Reason(e.Reason)); err != nil {
		j.log.Error("cannot pause", "lane", l.String(), "error", err)
	}
	return j.orGiveUp(j.later(until, reason.Reason(e.Reason), detail))
}

func (j *job) retry(why reason.Reason, detail string) queue.Outcome {
	return j.orGiveUp(j.later(time.Now().Add(j.d.retryDelay(j.task.Attempts)), why, detail))
}

// orGiveUp fails a message that has waited too long, unless it may have been
// sent: then it is held for somebody to look.
func (j *job) orGiveUp(o queue.Outcome) queue.Outcome {
	if time.Since(j.task.Received) < j.d.cfg.GiveUpAfter || time.Now().Before(j.p.Settle) || j.p.Accepted {
		return o
	}
	if j.doubtful() {
		return j.end(queue.Held, reason.SendUnknown, "gave up while it was unknown whether the message was sent; last: "+o.Detail)
	}
	j.gaveUp = true
	return j.end(queue.Failed, o.Reason, "gave up after "+j.d.cfg.GiveUpAfter.String()+"; last: "+o.Detail)
}

// removeDraft removes the draft that nobody will send, also one whose id was never
// learned, which may yet appear. It tells if the message was sent after all.
func (j *job) removeDraft(ctx context.Context) (sent bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ids, err := j.drafts(ctx)
	for _, id := range ids {
		reply, failed := j.deleteDraft(ctx, id)
		if failed != nil {
			err = failed
			continue
		}
		j.event("draft removed", "", reply)
	}
	if err != nil {
		j.event("draft left behind", err.Error(), graph.Reply{})
		return errors.Is(err, errSentAfterAll)
	}
	unknown := j.p.DraftWanted && j.p.DraftID == ""
	if unknown && j.p.Path == pathMIME {
		j.event("draft perhaps left behind", "it has the Message-ID "+messageID(j.task.Record, j.d.cfg.MessageIDHost), graph.Reply{})
	}
	j.forgetDraft()
	j.p.LateDraft = j.p.LateDraft || unknown && j.p.Path != pathMIME
	return false
}

var errSentAfterAll = errors.New("it was sent although Graph refused it")

// afterAll is what becomes of a message that Graph refused to send and that has left,
// or is leaving, nonetheless: a bounce would be untrue. It is watched as after a lost
// answer, and the next try finds it sent.
func (j *job) afterAll() queue.Outcome {
	j.p.Settle = j.settle()
	o := j.later(j.nextLook(), reason.Confirming, errSentAfterAll.Error())
	o.Uncount = true
	return o
}

// deleteDraft removes a draft; one whose send was refused only if it is one still:
// neither a copy in Sent Items nor an item on its way is removed.
func (j *job) deleteDraft(ctx context.Context, id string) (graph.Reply, error) {
	if !j.p.SendWanted.IsZero() {
		item, reply, err := j.mailbox().Item(ctx, id)
		if err == nil && (!item.IsDraft || item.Submitted()) {
			err = errSentAfterAll
		}
		if err != nil && !graph.NotFound(err) {
			return reply, err
		}
		// Without this record, a crash before the failure's own would leave a send in
		// doubt, and no item to look at.
		if err := j.save(ctx, "not sent", "", reply); err != nil {
			return reply, err
		}
	}
	return j.mailbox().Delete(ctx, id)
}

func (j *job) drafts(ctx context.Context) (ids []string, err error) {
	if j.p.DraftID != "" {
		return []string{j.p.DraftID}, nil
	}
	if !j.p.DraftWanted || j.p.Path == pathMIME || j.p.Path == pathSendMail {
		return nil, nil // what only looks like this message's draft may be another's
	}
	items, _, err := j.find(ctx)
	for _, item := range items {
		if item.IsDraft {
			ids = append(ids, item.ID)
		}
	}
	return ids, err
}
