package reports

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/text"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
)

const (
	// clockSlack is how much earlier than its message a report may seem to have come.
	clockSlack = 15 * time.Minute
	// maxAge is how long after its message a report may come. Mail systems try for up to five
	// days (RFC 5321 section 4.5.4.1).
	maxAge = 7 * 24 * time.Hour
)

// record marks the messages that a report is about. settled is false if a recipient is in none
// that has left yet.
func (w *Watcher) record(ctx context.Context, l queue.Lane, i graph.Received, r report) (settled bool, err error) {
	for range 3 { // another process may mark a message meanwhile
		var messages []queue.Record
		if messages, err = w.queue.LeftAs(ctx, l, r.messageID); err != nil || len(messages) == 0 {
			return false, err
		}
		list, all := match(messages, i, r)
		for _, m := range list {
			if err = w.mark(ctx, m, r); err != nil {
				break
			}
		}
		if !errors.Is(err, queue.ErrFenced) {
			return all, err
		}
	}
	return true, nil // each time someone else was faster
}

// matched is a message and what a report says of it that is not recorded yet.
type matched struct {
	queue.Record
	returns []queue.Return
}

// match assigns the failures of a report to the messages with its Message-ID. Clients send
// several messages under one Message-ID, each to other recipients or even to the same. A
// report counts once for each recipient. all reports whether each recipient is in one of them.
func match(messages []queue.Record, i graph.Received, r report) (list []*matched, all bool) {
	byID := map[string]*matched{}
	all = true
	for _, f := range r.failed {
		at, recipient := choose(messages, byID, i, f)
		all = all && recipient != ""
		if at < 0 {
			continue
		}
		m := messages[at]
		x := byID[m.ID]
		if x == nil {
			x = &matched{Record: m}
			byID[m.ID] = x
			list = append(list, x)
		}
		x.returns = append(x.returns, queue.Return{Recipient: recipient, At: i.At, Code: f.code, Diagnostic: f.diagnostic, Report: i.ID})
	}
	return list, all
}

// choose returns the index of the first message to which a failure can belong; -1 if there is
// none, or if the report was recorded before. recipient is the one in an envelope, or empty.
func choose(messages []queue.Record, chosen map[string]*matched, i graph.Received, f failure) (at int, recipient string) {
	at = -1
	for n, m := range messages {
		to := recipientIn(m.Envelope.To, f.addresses)
		if to == "" {
			continue
		}
		recipient = to
		known := m.Returns
		if x := chosen[m.ID]; x != nil {
			known = slices.Concat(known, x.returns)
		}
		k := slices.IndexFunc(known, func(k queue.Return) bool { return k.Recipient == to })
		if k >= 0 && known[k].Report == i.ID {
			return -1, recipient
		}
		if k < 0 && at < 0 && !i.At.Before(m.Received.Add(-clockSlack)) && !i.At.After(m.Finished.Add(maxAge)) {
			at = n
		}
	}
	if at >= 0 {
		recipient = recipientIn(messages[at].Envelope.To, f.addresses)
	}
	return at, recipient
}

// recipientIn returns the recipient of the envelope that one of the addresses names, or "".
func recipientIn(envelope, addresses []string) string {
	for _, a := range addresses {
		for _, to := range envelope {
			if strings.EqualFold(to, a) {
				return to
			}
		}
	}
	return ""
}

// mark records what a report says of one message, together with the notification of its sender.
func (w *Watcher) mark(ctx context.Context, m *matched, r report) error {
	first := m.returns[0]
	advice := bounce.AdviceForCode(first.Code)
	detail := describe(m.returns)
	var told string
	n, err := w.cfg.Notifier.NotifyReturned(m.Record, m.returns, bounce.ReturnedOriginal(m.Record, r.header))
	if err == nil {
		told = "; told to " + n.Envelope.To[0] + " as " + n.ID
	} else {
		told = "; nobody is told: " + err.Error()
	}
	err = w.queue.MarkReturned(ctx, m.ID, queue.Bounced{
		Returns: m.returns, Reason: advice.Reason, Detail: detail + "; " + advice.Why, Notification: n,
		Events: []queue.Event{{At: time.Now(), What: "returned", Detail: detail + told}},
	})
	if err != nil {
		return err
	}
	if !m.Quiet() {
		w.metrics.count(m.Lane.Connection, m.returns)
	}
	args := []any{"id", m.ID, "lane", m.Lane.String(), "recipients", len(m.returns), "reason", advice.Reason, "detail", detail}
	if n != nil {
		args = append(args, "notification", n.ID)
	}
	w.log.Warn("returned", args...)
	return nil
}

// describe returns one line about the first recipient, and how many others there are.
func describe(returns []queue.Return) string {
	first := returns[0]
	s := strings.TrimSpace(text.Shorten(first.Recipient, maxDiagnostic) + ": " + strings.TrimSpace(first.Code+" "+first.Diagnostic))
	if n := len(returns) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}
