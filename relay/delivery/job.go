package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/verdict"
)

// job is one claimed message: an attempt to send it, and what becomes of it.
type job struct {
	d    *Deliverer
	task queue.Task
	a    *Attempt
	log  *slog.Logger

	result    Result // of the attempt
	gaveUp    bool
	unbounced bool // it failed, at least for one recipient, and nobody can be notified
	notified  []bounce.Action
	unpaused  func() // logs that the lane could not be paused; nil if it could
	told      string // the error of the log's last line about the outcome
	waiter    *verdict.Waiter
}

func (d *Deliverer) newJob(t queue.Task, s *slot) *job {
	a := d.newAttempt(t.Record, t.Ref, s)
	return &job{d: d, task: t, a: a, log: a.Log}
}

// deliver brings one claimed message to an outcome.
func (d *Deliverer) deliver(ctx context.Context, t queue.Task, s *slot) {
	j := d.newJob(t, s)
	defer j.a.CloseBody()
	traced, ended := ctx, func(queue.Outcome, string) {}
	if d.cfg.Tracer != nil {
		traced, ended = d.cfg.Tracer.Attempt(ctx, t.Record)
	}
	watched := j.keepsContent(false) // may ask the directory: after the send, the outcome must be recorded at once
	o := j.attempt(traced)
	o.Progress, o.Events = j.a.Progress, j.a.notes
	o.Cleanup = o.Progress.Leftover && (o.State == queue.Sent || o.State == queue.Failed)
	o.Keep = o.State == queue.Sent && (watched || len(j.result.Refused) > 0 && j.keepsContent(true))
	err := j.finish(ctx, o)
	ended(o, j.result.Path)
	j.answerClient(o, err)
	if err != nil {
		d.work.Lost(t.Ref)
		args := []any{"state", o.State}
		if err.Error() != j.told {
			args = append(args, "error", err)
		}
		j.log.Warn("the outcome was not recorded", args...)
		return
	}
	if j.unpaused != nil {
		j.unpaused()
	}
	j.report(o)
}

// attempt makes the attempt and decides what becomes of the message. A message that makes
// the program panic is held, so that it cannot take the others down with it.
func (j *job) attempt(ctx context.Context) (o queue.Outcome) {
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("delivery panicked", "panic", fmt.Sprint(r))
			o = end(queue.Held, reason.InternalError, "the program failed on this message; please report it")
		}
	}()
	var err error
	j.result, err = j.d.outlet.Send(ctx, j.a)
	o = j.outcome(ctx, err)
	if o.State == queue.Failed {
		if again := j.d.outlet.Abandon(ctx, j.a); !again.IsZero() {
			o = confirm(again, "it was sent although it was refused")
		}
	}
	return j.notifySender(o)
}

// keepsContent reports whether the content is kept although the message was sent, with recipients
// refused or without. That of the relay's own messages is not: they tell of others.
func (j *job) keepsContent(refused bool) bool {
	return j.d.cfg.KeepsContent != nil && j.task.Client != "" && j.d.cfg.KeepsContent(j.task.Lane, refused)
}

// final are the errors after which an outcome cannot be recorded later.
var final = []error{queue.ErrFenced, queue.ErrClosed, queue.ErrBroken}

// finish records the outcome, also when the program stops. It goes on trying while
// the store cannot write: no other worker can take up a claim that has not ended. A store
// that is broken will not write again, and the next process takes up its claims.
func (j *job) finish(ctx context.Context, o queue.Outcome) error {
	for try := 1; ; try++ {
		err := j.d.work.Finish(context.WithoutCancel(ctx), j.task.Ref, o)
		if err == nil || ctx.Err() != nil || slices.ContainsFunc(final, func(e error) bool { return errors.Is(err, e) }) {
			return err
		}
		// One line of the log is enough: a lane could not be paused for the same reason, and the
		// outcome may tell of the fault itself.
		j.unpaused = nil
		if try > 1 || err.Error() != o.Detail {
			j.log.Error("cannot record the outcome, trying again", "state", o.State, "error", err)
			j.told = err.Error()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// report logs the change of state and counts it.
func (j *job) report(o queue.Outcome) {
	lane := j.task.Lane
	attempts := j.task.Attempts
	if o.Uncount || o.State == queue.Queued { // as the queue counts them
		attempts = max(attempts-1, 0)
	}
	args := []any{"lane", lane.String(), "attempts", attempts}
	for _, n := range o.Notifications {
		args = append(args, "notification", n.ID)
	}
	if !j.task.Quiet() {
		j.d.metrics.ended(lane.Connection, o, j.unbounced, j.notified)
	}
	j.countOffered(o)
	why := append(slices.Clone(args), "reason", o.Reason)
	if j.told == "" || o.Detail != j.told {
		why = append(why, "detail", o.Detail)
	}
	switch o.State {
	case queue.Sent:
		took := j.a.Age()
		j.d.metrics.sent(lane.Connection, j.result.Path, took)
		if j.d.cfg.Sent != nil {
			j.d.cfg.Sent(lane, j.task.Envelope.To, took)
		}
		sent := append(args, "from", j.task.Envelope.From, "recipients", len(j.task.Envelope.To))
		if j.d.cfg.LogRecipients {
			sent = append(sent, "to", someOf(j.task.Envelope.To), "message_id", text.Printable(j.task.MessageID))
		}
		j.log.Info("sent", append(sent, "size", j.task.Size, "path", j.result.Path, "seconds", took.Seconds())...)
		j.reportRefused(args)
	case queue.Failed:
		j.log.Error("failed", why...)
	case queue.Held:
		j.log.Error("held", why...)
	case queue.Deferred:
		j.log.Warn("deferred", append(why, "until", j.d.work.Wall(o.Due).Format(time.RFC3339))...)
	case queue.Queued:
		j.log.Info("given back", args...)
	}
}

// mostLogged is how many recipients of a message the log names.
const mostLogged = 20

// someOf returns the first recipients, for the log.
func someOf(recipients []string) []string {
	if len(recipients) > mostLogged {
		return append(slices.Clone(recipients[:mostLogged]), fmt.Sprintf("and %d more", len(recipients)-mostLogged))
	}
	return recipients
}

// reportRefused logs the recipients that do not get a message which was sent to others.
func (j *job) reportRefused(args []any) {
	for _, r := range j.result.Refused {
		j.log.Error("not sent to a recipient", append(slices.Clone(args), "recipient", text.Printable(r.Address),
			"detail", text.Printable(r.Diagnostic), "sender_told", slices.Contains(j.notified, bounce.Failed))...)
	}
}
