package delivery

import (
	"context"
	"errors"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
)

// Pauses where Graph does not say how long.
const (
	throttlePause   = 10 * time.Second
	mailboxPause    = 5 * time.Minute
	connectionPause = 30 * time.Second
)

func (j *job) end(s queue.State, reason, detail string) queue.Outcome {
	return queue.Outcome{State: s, Reason: reason, Detail: detail, Progress: j.p, Events: j.events}
}

func (j *job) later(due time.Time, reason, detail string) queue.Outcome {
	o := j.end(queue.Deferred, reason, detail)
	o.Due = due
	return o
}

// outcome turns what happened into what becomes of the message.
func (j *job) outcome(err error) queue.Outcome {
	var wait pending
	var never unknowable
	var whole unsendable
	var e *graph.Error
	switch {
	case err == nil, errors.Is(err, errSent):
		return j.end(queue.Sent, "", "")
	case errors.Is(err, context.Canceled):
		return j.end(queue.Queued, "", "")
	case errors.As(err, &wait):
		o := j.later(wait.until, "confirming", err.Error())
		o.Uncount = true
		return o
	case errors.As(err, &whole):
		return j.fail(string(graph.ReasonTooLarge), whole.detail)
	case errors.As(err, &never):
		j.forgetDraft() // a release means: make a new one
		return j.end(queue.Held, "send_unknown", never.detail)
	case errors.As(err, &e):
		j.event("refused", err.Error(), graph.Reply{RequestID: e.RequestID})
		return j.refused(e, err)
	}
	// The queue itself could not be read or written.
	return j.retry("storage", err.Error())
}

func (j *job) refused(e *graph.Error, err error) queue.Outcome {
	reason, detail := string(e.Reason), err.Error()
	switch e.Class {
	case graph.ClassMessage:
		return j.fail(reason, detail)
	case graph.ClassConnection:
		o := j.pause(queue.Lane{Connection: j.task.Lane.Connection}, e, connectionPause, detail)
		o.Uncount = true // it is nobody's fault but the connection's
		return o
	case graph.ClassMailbox:
		return j.pause(j.task.Lane, e, mailboxPause, detail)
	}
	if e.Reason == graph.ReasonThrottled {
		o := j.pause(j.task.Lane, e, throttlePause, detail)
		o.Uncount = true
		return o
	}
	return j.retry(reason, detail)
}

// pause stops the lane, or the connection, and defers the message until then.
func (j *job) pause(l queue.Lane, e *graph.Error, otherwise time.Duration, detail string) queue.Outcome {
	d := e.RetryAfter
	if d == 0 {
		d = otherwise
	}
	until := time.Now().Add(d)
	if err := j.d.work.Pause(context.Background(), l, until, string(e.Reason)); err != nil {
		j.log.Error("cannot pause", "lane", l.String(), "error", err)
	}
	return j.orGiveUp(j.later(until, string(e.Reason), detail))
}

func (j *job) retry(reason, detail string) queue.Outcome {
	return j.orGiveUp(j.later(time.Now().Add(j.d.retryDelay(j.task.Attempts)), reason, detail))
}

// orGiveUp fails a message that has waited too long, unless it may have been
// sent: then it is held for somebody to look.
func (j *job) orGiveUp(o queue.Outcome) queue.Outcome {
	if time.Since(j.task.Received) < j.d.cfg.GiveUpAfter {
		return o
	}
	if !j.p.SendWanted.IsZero() {
		return j.end(queue.Held, "send_unknown", "gave up while it was unknown whether the message was sent; last: "+o.Detail)
	}
	return j.fail(o.Reason, "gave up after "+j.d.cfg.GiveUpAfter.String()+"; last: "+o.Detail)
}

// fail removes the draft that nobody will send.
func (j *job) fail(reason, detail string) queue.Outcome {
	if j.p.DraftID != "" {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		reply, err := j.client.Delete(ctx, j.mailbox(), j.p.DraftID)
		if err != nil {
			j.event("draft left behind", err.Error(), reply)
		} else {
			j.event("draft removed", "", reply)
			j.forgetDraft()
		}
	}
	return j.end(queue.Failed, reason, detail)
}
