package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/verdict"
)

// notifySender adds to the outcome how the sender learns of it. The SMTP client that still
// waits for the fate of a failed message is told there, and keeps the message; any other
// sender gets a notification. In a queue that is shared, the client may wait on another node:
// the queue decides (see queue.Verdicts).
func (j *job) notifySender(o queue.Outcome) queue.Outcome {
	j.waiter = j.d.cfg.Waiters.Claim(j.task.ID)
	switch {
	case o.State == queue.Failed && j.waiter != nil:
		o.Discard = true
		j.a.Note("refused to the client", "in its session, which was still open")
	case o.State == queue.Failed:
		refusal := refusalOf(o)
		o = j.notify(o, bounce.Failed)
		if j.d.work.Shared() {
			o.Refusal = refusal.String()
		}
	case o.State == queue.Sent:
		return j.notify(j.notifyRefused(o), bounce.Relayed)
	}
	return o
}

// notifyRefused adds a bounce for the recipients that do not get a message which was sent to
// the others. Its client, even one that still waits, is not to send it to those again.
func (j *job) notifyRefused(o queue.Outcome) queue.Outcome {
	if len(j.result.Refused) == 0 {
		return o
	}
	return j.notify(o, bounce.Failed)
}

// answerClient ends the wait of the message's SMTP client once the outcome is recorded. A
// message whose outcome could not be recorded stays in the queue.
func (j *job) answerClient(o queue.Outcome, notRecorded error) {
	if j.waiter == nil {
		j.waiter = j.d.cfg.Waiters.Claim(j.task.ID)
	}
	v := verdict.Verdict{}
	if notRecorded == nil && o.Discard {
		v = refusalOf(o)
	}
	j.waiter.Decide(v)
}

func refusalOf(o queue.Outcome) verdict.Verdict {
	a := bounce.AdviceFor(o.Reason)
	return verdict.Verdict{Refused: true, Enhanced: a.Enhanced(5), Text: a.Why + " " + a.Do}
}

// notify adds a notification of the action to the outcome. What becomes of the message
// does not depend on it: a notification that cannot be written is left out.
func (j *job) notify(o queue.Outcome, a bounce.Action) (out queue.Outcome) {
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("writing a notification panicked", "panic", fmt.Sprint(r))
			out = j.unbounceable(o, a, "the program failed to write it; please report that")
		}
	}()
	n, err := j.d.notifier.Notify(j.bounceReport(o, a))
	switch {
	case err == nil:
		o.Notifications = append(o.Notifications, n)
		j.notified = append(j.notified, a)
		j.a.Note(a.Event(), "as "+n.ID+" to "+n.Envelope.To[0])
	case !errors.Is(err, bounce.ErrNotWanted):
		return j.unbounceable(o, a, err.Error())
	case a == bounce.Failed:
		j.a.Note("not bounced", err.Error())
	}
	return o
}

// bounceReport returns what a notification of the action reports.
func (j *job) bounceReport(o queue.Outcome, a bounce.Action) bounce.Report {
	r := bounce.Report{
		Action: a, Message: j.task.Record, Reason: o.Reason, Detail: o.Detail,
		Diagnostic: j.result.Diagnostic, GaveUp: j.gaveUp, Original: j.original,
	}
	if o.State != queue.Sent || len(j.result.Refused) == 0 {
		return r
	}
	refused := map[string]string{}
	for _, x := range j.result.Refused {
		refused[x.Address] = x.Diagnostic
		r.Detail = strings.TrimPrefix(r.Detail+"; "+x.Address+": "+x.Diagnostic, "; ")
	}
	if a == bounce.Failed { // for the refused ones
		r.Reason, r.Refused = reason.InvalidRecipients, refused
		return r
	}
	r.Message.Envelope.To = slices.DeleteFunc(slices.Clone(r.Message.Envelope.To), func(to string) bool {
		_, is := refused[to]
		return is
	})
	return r
}

// unbounceable holds a failure of which nobody can be notified. If the message was sent to
// others it is not held, and its history says so. Any other notification is left out.
func (j *job) unbounceable(o queue.Outcome, a bounce.Action, why string) queue.Outcome {
	switch {
	case o.State == queue.Failed:
		j.unbounced = true
		o.State, o.Detail = queue.Held, o.Detail+"; not bounced: "+why
	case a == bounce.Failed:
		j.unbounced = true
		j.a.Note("not bounced", why)
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
