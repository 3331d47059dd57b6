package delivery

import (
	"context"
	"errors"
	"fmt"

	"graphrelay/graph"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
)

// tell adds to the outcome the notification that the sender is to get. A failure of
// which nobody can be notified is held instead, for the operator to see.
func (j *job) tell(o queue.Outcome) queue.Outcome {
	switch o.State {
	case queue.Failed:
		return j.notify(o, bounce.Failed)
	case queue.Sent:
		return j.notify(o, bounce.Relayed)
	}
	return o
}

// notify adds a notification of the action to the outcome. What becomes of the message
// does not depend on it: a notification that cannot be written is left out.
func (j *job) notify(o queue.Outcome, a bounce.Action) (out queue.Outcome) {
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("writing a notification panicked", "panic", fmt.Sprint(r))
			out = j.unbounceable(o, "the program failed to write it; please report that")
		}
	}()
	n, err := j.d.notifier.Notify(j.bounceReport(o, a))
	switch {
	case err == nil:
		o.Notification = n
		j.event(a.Event(), "as "+n.ID+" to "+n.Envelope.To[0], graph.Reply{})
	case !errors.Is(err, bounce.ErrNotWanted):
		return j.unbounceable(o, err.Error())
	case a == bounce.Failed:
		j.event("not bounced", err.Error(), graph.Reply{})
	}
	return o
}

func (j *job) bounceReport(o queue.Outcome, a bounce.Action) bounce.Report {
	r := bounce.Report{Action: a, Message: j.task.Record, Reason: o.Reason, Detail: o.Detail, GaveUp: j.gaveUp, Original: j.original}
	if e := j.refusal; e != nil && e.Code != "" {
		r.Diagnostic = fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
	}
	return r
}

// unbounceable holds a failure of which nobody can be notified. Any other notification
// is left out.
func (j *job) unbounceable(o queue.Outcome, why string) queue.Outcome {
	if o.State == queue.Failed {
		j.unbounced = true
		o.State, o.Detail = queue.Held, o.Detail+"; not bounced: "+why
	}
	return o
}

// original reads what a notification returns of the message, as far as it can be read.
func (j *job) original(full bool) bounce.Original {
	if j.body == nil {
		body, err := j.d.work.Open(context.Background(), j.task.ID) // also when the program stops
		if err != nil {
			j.log.Warn("the message cannot be returned", "error", err)
			return bounce.Original{}
		}
		j.body = body
	}
	s, err := openStored(j.body, j.task.Trace)
	if err != nil {
		j.log.Warn("the message cannot be returned", "error", err)
		return bounce.Original{}
	}
	o, err := bounce.ReadOriginal(s.message, j.d.cfg.MIME, full)
	if err != nil {
		j.log.Warn("the message cannot be returned", "error", err)
	}
	return o
}
