package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
)

// The keywords of NOTIFY (RFC 3461 section 4.1).
const (
	notifySuccess = "SUCCESS"
	notifyFailure = "FAILURE"
	notifyDelay   = "DELAY"
)

// tell adds to the outcome what its sender has to be told. A failure that nobody
// can be told of is held instead, for the operator to see.
func (j *job) tell(o queue.Outcome) queue.Outcome {
	switch o.State {
	case queue.Failed:
		return j.notify(o, actionFailed, notifyFailure)
	case queue.Sent:
		return j.notify(o, actionRelayed, notifySuccess)
	}
	return o
}

// notify queues a notification to those recipients' sender who want one.
func (j *job) notify(o queue.Outcome, action, keyword string) (out queue.Outcome) {
	defer func() { // what became of the message must not hang on what is said of it
		if r := recover(); r != nil {
			j.log.Error("writing a notification panicked", "panic", fmt.Sprint(r))
			out = j.untold(o, "the program failed to write it; please report that")
		}
	}()
	who := wanting(j.task.Envelope, keyword)
	if len(who) == 0 {
		if action == actionFailed {
			j.event("not bounced", "the sender asked for no bounce (NOTIFY)", graph.Reply{})
		}
		return o
	}
	original := j.original(action == actionFailed && j.task.Envelope.DSN.Return == "FULL") // RFC 3461 section 4.3: of failures alone
	if why := j.unbounceable(o.Reason, original); why != "" {
		return j.untold(o, why)
	}
	n := j.notice(o, action, who, original)
	o.Notification = n.submission(j.bounceLane())
	j.event(named[action], "as "+n.id+" to "+n.to, graph.Reply{})
	return o
}

// named is what an event calls a notification.
var named = map[string]string{actionFailed: "bounced", actionDelayed: "delay warning", actionRelayed: "success notice"}

// wanting lists the recipients for whom the sender wants to know. Where NOTIFY is
// not given, that is of failures and delays (RFC 3461 section 4.1).
func wanting(e queue.Envelope, keyword string) (who []string) {
	for _, r := range e.To {
		n := e.DSN.Recipients[r].Notify
		if slices.Contains(n, keyword) || len(n) == 0 && keyword != notifySuccess {
			who = append(who, r)
		}
	}
	return who
}

// unbounceable says why the sender cannot be told, or nothing.
func (j *job) unbounceable(reason string, o original) string {
	lane := j.bounceLane()
	switch {
	case j.task.Envelope.From == "":
		return "it has no sender (MAIL FROM:<>)" // RFC 5321 section 6.1
	case o.report:
		return "it is a bounce itself"
	case cannotSend(reason, j.task.Lane, lane):
		return "its mailbox cannot send one either; set delivery.postmaster to another mailbox"
	}
	return ""
}

// cannotSend tells whether what went wrong in one lane keeps another, or the same,
// from sending.
func cannotSend(reason string, failed, lane queue.Lane) bool {
	switch graph.Reason(reason) {
	case graph.ReasonMailbox, graph.ReasonMailboxFull, graph.ReasonAccessDenied, graph.ReasonBlocked:
		return lane == failed
	case graph.ReasonAuth:
		return lane.Connection == failed.Connection
	}
	return false
}

func (j *job) bounceLane() queue.Lane {
	if p := j.d.cfg.Postmaster; p != (queue.Lane{}) {
		return p
	}
	return j.task.Lane
}

// untold holds a failure. Whatever else was to be told is left at that.
func (j *job) untold(o queue.Outcome, why string) queue.Outcome {
	if o.State == queue.Failed {
		j.unbounced = true
		o.State, o.Detail = queue.Held, o.Detail+"; not bounced: "+why
	}
	return o
}

// original reads what is returned of the message. A notification without it is
// better than none.
func (j *job) original(whole bool) original {
	if j.body == nil {
		body, err := j.d.work.Open(context.Background(), j.task.ID) // also when the program stops
		if err != nil {
			j.log.Warn("the message cannot be returned", "error", err)
			return original{}
		}
		j.body = body
	}
	s, err := openStored(j.body, j.task.Trace)
	if err != nil {
		j.log.Warn("the message cannot be returned", "error", err)
		return original{}
	}
	o, err := readOriginal(s, j.d.cfg.MIME, whole)
	if err != nil {
		j.log.Warn("the message cannot be returned", "error", err)
	}
	return o
}

func (j *job) notice(o queue.Outcome, action string, who []string, orig original) *notice {
	now := time.Now()
	n := &notice{
		id: queue.NewID(now), action: action, host: j.d.cfg.MessageIDHost, now: now,
		from: j.bounceLane().Mailbox, to: j.task.Envelope.From,
		about: j.task.Record, recipients: who, reason: o.Reason,
		until: j.task.Received.Add(j.d.cfg.GiveUpAfter), original: orig,
	}
	if j.d.cfg.BounceTo != nil {
		n.to = j.d.cfg.BounceTo(n.to)
	}
	if j.gaveUp {
		n.gaveUp = j.d.cfg.GiveUpAfter
	}
	if o.Reason != reasonStorage { // whose text is of the relay's own disk
		n.detail = o.Detail
	}
	if e := j.refusal; e != nil && e.Code != "" && action != actionRelayed {
		n.diagnostic = fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
	}
	return n
}

// submission is the notification as a message of its own: from the null sender
// (RFC 3461 section 6.1), so that it is never bounced.
func (n *notice) submission(lane queue.Lane) *queue.Submission {
	subject := "" // the log may not keep it
	if n.about.Subject != "" {
		subject = n.subject(n.about.Subject)
	}
	return &queue.Submission{
		ID: n.id, Body: n.message(),
		Entry: queue.Entry{
			Envelope: queue.Envelope{To: []string{n.to}, UTF8: !isASCII(n.to)},
			Lane:     lane, From: n.from, Subject: subject, MessageID: n.messageID(),
		},
		Events: []queue.Event{{At: n.now, What: named[n.action], Detail: "of " + n.about.ID}},
	}
}
