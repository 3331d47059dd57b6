// Package bounce writes delivery status notifications (RFC 3464): what the sender of a
// message is told of its failure, its delay or its hand-over to Microsoft 365.
//
// It decides who is notified of what, and when nobody can be. It makes messages; it
// neither reads the queue nor sends.
package bounce

import (
	"errors"
	"slices"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Action is what happened to a message (RFC 3464 section 2.3.3).
type Action string

// The actions that a sender is notified of.
const (
	Failed  Action = "failed"
	Delayed Action = "delayed"
	Relayed Action = "relayed" // to a system that reports no more (RFC 3461 section 5.2.2)
)

// Event returns what a message's history calls a notification of this action.
func (a Action) Event() string {
	switch a {
	case Failed:
		return "bounced"
	case Delayed:
		return "delay warning"
	}
	return "success notice"
}

// keyword returns the keyword of NOTIFY that asks for it (RFC 3461 section 4.1).
func (a Action) keyword() string {
	switch a {
	case Failed:
		return "FAILURE"
	case Delayed:
		return "DELAY"
	}
	return "SUCCESS"
}

// Notifier writes a relay's notifications.
type Notifier struct {
	Host        string                     // the relay's name
	Postmaster  queue.Lane                 // sends the notifications; the zero Lane stands for that of the message they are about
	To          func(sender string) string // returns where a sender's notifications go; nil: to the sender
	Copy        string                     // gets every bounce too; empty: nobody does
	GiveUpAfter time.Duration              // how long a message is tried, from its receipt
	// Receives reports whether the mailbox of a lane gets the mail for an address. If it is
	// nil, only the address that the lane names does.
	Receives func(lane queue.Lane, address string) bool
}

// Report is what happened to a message.
type Report struct {
	Action     Action
	Message    queue.Record
	Reason     reason.Reason            // for a failure or a delay
	Detail     string                   // the same for an administrator
	Diagnostic string                   // Microsoft 365's last refusal, or empty
	Refused    map[string]string        // if only these recipients failed: Microsoft 365's refusal of each
	GaveUp     bool                     // the message failed since it was tried for too long
	Original   func(full bool) Original // reads the message, with its content if full
}

// ErrNotWanted is returned if the sender wants no notification for any recipient.
var ErrNotWanted = errors.New("the sender asked for no bounce (NOTIFY)")

// ImpossibleError says why nobody can be notified.
type ImpossibleError string

func (e ImpossibleError) Error() string { return string(e) }

// Notify returns the notification of r for the message's sender. The error is
// ErrNotWanted if the sender wants none, or an ImpossibleError.
func (n Notifier) Notify(r Report) (*queue.Submission, error) {
	recipients := wanting(r.Message.Envelope, r.Action)
	if r.Refused != nil {
		recipients = slices.DeleteFunc(recipients, func(to string) bool { _, is := r.Refused[to]; return !is })
	}
	if len(recipients) == 0 {
		return nil, ErrNotWanted
	}
	full := r.Action == Failed && r.Message.Envelope.DSN.Return == "FULL" // RFC 3461 section 4.3: for failures alone
	original := r.Original(full)
	lane := n.lane(r.Message)
	if why := impossible(r, original, lane); why != "" {
		return nil, ImpossibleError(why)
	}
	return n.withCopy(n.notice(r, recipients, original, lane).submission(lane), r.Action), nil
}

// withCopy adds the recipient of copies to a bounce, whom its header does not name: Graph sends it to
// both or to nobody, so that the copy is as sure and as single as the bounce. Nobody hears of a
// failure of the copy.
func (n Notifier) withCopy(s *queue.Submission, a Action) *queue.Submission {
	to := s.Envelope.To[0]
	if n.Copy == "" || a != Failed || mailaddr.Same(n.Copy, to) {
		return s
	}
	s.Envelope.To = append(s.Envelope.To, n.Copy)
	s.Envelope.UTF8 = s.Envelope.UTF8 || !text.IsASCII(n.Copy)
	s.Envelope.DSN.Recipients = map[string]queue.RecipientDSN{n.Copy: {Notify: []string{queue.NotifyNever}}}
	return s
}

// lane returns the lane that a notification about m is sent by.
func (n Notifier) lane(m queue.Record) queue.Lane {
	if n.Postmaster != (queue.Lane{}) {
		return n.Postmaster
	}
	return m.Lane
}

// wanting returns the recipients for whom the sender wants to be notified. Where NOTIFY
// is not given, that is of failures and delays (RFC 3461 section 4.1).
func wanting(e queue.Envelope, a Action) (recipients []string) {
	for _, r := range e.To {
		n := e.DSN.Recipients[r].Notify
		if slices.Contains(n, a.keyword()) || len(n) == 0 && a != Relayed {
			recipients = append(recipients, r)
		}
	}
	return recipients
}

// impossible returns why the sender cannot be notified, or nothing.
func impossible(r Report, o Original, by queue.Lane) string {
	switch {
	case r.Message.Envelope.From == "":
		return "it has no sender (MAIL FROM:<>)" // RFC 5321 section 6.1
	case o.report:
		return "it is a bounce itself"
	case blocks(r.Reason, r.Message.Lane, by):
		return "its mailbox cannot send a bounce either; set delivery.postmaster to another mailbox"
	}
	return ""
}

// blocks reports whether what failed in one lane keeps another, or the same, from
// sending.
func blocks(r reason.Reason, failed, lane queue.Lane) bool {
	switch r {
	case reason.MailboxUnknown, reason.MailboxFull, reason.AccessDenied, reason.SendingBlocked, reason.DailyLimit:
		return lane == failed
	case reason.SignIn:
		return lane.Whole() == failed.Whole()
	}
	return false
}

func (n Notifier) notice(r Report, recipients []string, original Original, by queue.Lane) *notice {
	now := time.Now()
	x := &notice{
		id: queue.NewID(now), action: r.Action, host: n.Host, now: now,
		from: by.Mailbox, to: r.Message.Envelope.From,
		about: r.Message, recipients: recipients, reason: r.Reason,
		until: r.Message.Received.Add(n.GiveUpAfter), original: original, refused: r.Refused,
	}
	if n.To != nil {
		x.to = n.To(x.to)
	}
	if r.GaveUp {
		x.gaveUp = n.GiveUpAfter
	}
	if r.Reason != reason.Storage { // whose detail is about the relay's own disk
		x.detail = r.Detail
	}
	if r.Action != Relayed {
		x.diagnostic = r.Diagnostic
	}
	return x
}

// submission returns the notification as a message of its own: from the null sender
// (RFC 3461 section 6.1), so that it is never bounced.
func (n *notice) submission(lane queue.Lane) *queue.Submission {
	subject := "" // the log may not keep it
	if n.about.Subject != "" {
		subject = n.subject(n.about.Subject)
	}
	return &queue.Submission{
		ID: n.id, Body: n.message(),
		Entry: queue.Entry{
			Envelope: queue.Envelope{To: []string{n.to}, UTF8: !text.IsASCII(n.to)},
			Lane:     lane, From: n.from, Subject: subject, MessageID: n.messageID(),
		},
		Events: []queue.Event{{At: n.now, What: n.action.Event(), Detail: "of " + n.about.ID}},
	}
}
