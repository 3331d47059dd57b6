package graphmail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/delivery"
	"graphrelay/relay/reason"
)

// Pauses where Graph does not say how long.
const (
	throttlePause = 10 * time.Second
	outagePause   = 10 * time.Second
	mailboxPause  = 5 * time.Minute
	// maxDeniedPause is more than the half hour that Exchange remembers a refusal for an
	// application that does not ask.
	maxDeniedPause = 35 * time.Minute
	signInPause    = 30 * time.Second
)

// result turns the end of the steps into the attempt's result.
func (t *transfer) result(ctx context.Context, err error) (r delivery.Result, _ error) {
	defer func() { r.Path, r.Doubt = t.p.Path, t.p.doubt(t.Now()) }()
	if err == nil {
		return delivery.Result{Status: delivery.StatusSent, Refused: t.loseRecipients()}, nil
	}
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	var wait pending
	var never unknowable
	var large unsendable
	var none noUploads
	var e *graph.Error
	switch {
	case errors.As(err, &wait):
		return delivery.Result{Status: delivery.StatusPending, Until: wait.until}, nil
	case errors.As(err, &large):
		return delivery.Result{Status: delivery.StatusRefused, Reason: reason.TooLarge, Detail: large.Error()}, nil
	case errors.As(err, &none):
		return delivery.Result{Status: delivery.StatusRefused, Reason: reason.LargeFile, Detail: err.Error()}, nil
	case errors.As(err, &never):
		t.p.draftVanished() // if it is released, a new one is made
		return delivery.Result{Status: delivery.StatusHold, Reason: reason.SendUnknown, Detail: never.Error()}, nil
	case errors.As(err, &e):
		t.noteRefused("refused", err.Error(), err)
		return t.refused(e, err), nil
	}
	return r, err
}

// refused turns Graph's error into a result.
func (t *transfer) refused(e *graph.Error, err error) delivery.Result {
	r := delivery.Result{Status: delivery.StatusRetry, Reason: reason.Reason(e.Reason), Detail: err.Error()}
	r.Diagnostic = diagnostic(e)
	if do := t.remedy(e); do != "" {
		r.Detail += "; " + do
	}
	switch {
	case e.Class == graph.ClassMessage && t.p.Send == sendRequested:
		// It may have been sent: that has to be confirmed first.
	case e.Class == graph.ClassMessage && e.Reason == graph.ReasonMailbox && t.mailbox.retry:
		r.Detail = err.Error() + "; it may be an alias, whose owner cannot be looked up now" // see Config.Owner
	case e.Class == graph.ClassMessage && e.Unexplained && t.p.refusedFor(t.Now()) < t.o.cfg.RetryUnexplained:
		r.Detail += "; this refusal is not known, so it is retried for " + t.o.cfg.RetryUnexplained.String() + " before it is final (delivery.retry_unexplained)"
	case e.Class == graph.ClassMessage:
		r.Status = delivery.StatusRefused
	case e.Class == graph.ClassMailbox && e.Reason == graph.ReasonNotConnected:
		r.Status = delivery.StatusHold // it is released when the mailbox is connected
	case e.Class == graph.ClassMailbox:
		pause(&r, delivery.PauseLane, e, t.mailboxPause(e))
	case e.Class == graph.ClassConnection:
		length := outagePause
		if e.Reason == graph.ReasonAuth {
			length = signInPause
		}
		pause(&r, delivery.PauseConnection, e, length)
		r.Blameless = true
	case e.Reason == graph.ReasonThrottled, e.RetryAfter > 0:
		pause(&r, delivery.PauseLane, e, throttlePause)
		r.Blameless = true
	}
	return r
}

// diagnostic returns Graph's refusal for a bounce, or nothing.
func diagnostic(e *graph.Error) string {
	if e.Code == "" {
		return ""
	}
	return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
}

// mailboxPause returns how long a mailbox pauses after a refusal that does not say so.
func (t *transfer) mailboxPause(e *graph.Error) time.Duration {
	if e.Reason == graph.ReasonAccessDenied {
		return t.o.denials.pause(t.Message.Lane, t.began, time.Now(), e.RetryAfter)
	}
	return mailboxPause
}

// pause adds a pause to the result: as long as Graph asks for, or else length.
func pause(r *delivery.Result, what delivery.Pause, e *graph.Error, length time.Duration) {
	r.Pause, r.Wait = what, length
	if e.RetryAfter != 0 {
		r.Wait = e.RetryAfter
	}
}
