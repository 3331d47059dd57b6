package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"

	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/verdict"
)

// notifySender adds to the outcome how the sender learns of it. The SMTP client that still
// waits for the fate of a failed message is told there, and keeps the message; any other
// sender gets a notification.
func (j *job) notifySender(o queue.Outcome) queue.Outcome {
	j.waiter = j.d.cfg.Waiters.Claim(j.task.ID)
	switch {
	case o.State == queue.Failed && j.waiter != nil:
		o.Discard = true
		j.a.Note("refused to the client", "in its session, which was still open", "")
	case o.State == queue.Failed:
		return j.notify(o, bounce.Failed)
	case o.State == queue.Sent:
		return j.notify(o, bounce.Relayed)
	}
	return o
}

// answerClient ends the wait of the message's SMTP client once the outcome is recorded. A
// message whose outcome could not be recorded stays in the queue.
func (j *job) answerClient(o queue.Outcome, notRecorded error) {
	if j.waiter == nil {
		j.waiter = j.d.cfg.Waiters.Claim(j.task.ID)
	}
	v := verdict.Verdict{}
	if notRecorded == nil && o.Discard {
		a := bounce.AdviceFor(o.Reason)
		v = verdict.Verdict{Refused: true, Enhanced: a.Enhanced(5), Text: a.Why + " " + a.Do}
	}
	j.waiter.Decide(v)
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
	n, err := j.d.notifier.Notify(bounce.Report{
		Action: a, Message: j.task.Record, Reason: o.Reason, Detail: o.Detail,
		Diagnostic: j.result.Diagnostic, GaveUp: j.gaveUp, Original: j.original,
	})
	switch {
	case err == nil:
		o.Notification = n
		j.a.Note(a.Event(), "as "+n.ID+" to "+n.Envelope.To[0], "")
	case !errors.Is(err, bounce.ErrNotWanted):
		return j.unbounceable(o, err.Error())
	case a == bounce.Failed:
		j.a.Note("not bounced", err.Error(), "")
	}
	return o
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
	body, err := j.a.Body(context.Background()) // also when the program stops
	if err != nil {
		j.log.Warn("the message cannot be returned", "error", err)
		return bounce.Original{}
	}
	trace := j.task.Trace
	o, err := bounce.ReadOriginal(io.NewSectionReader(body, trace, body.Size()-trace), j.d.cfg.MIME, full)
	if err != nil {
		j.log.Warn("the message cannot be returned", "error", err)
	}
	return o
}
