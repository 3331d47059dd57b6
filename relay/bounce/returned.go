package bounce

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// ErrTold is returned if the sender has the report of Microsoft 365 in the same mailbox to
// which the notification would go.
var ErrTold = errors.New("the report of Microsoft 365 is in the sender's own mailbox, and delivery.postmaster names no other")

// ReturnedOriginal returns the Original of a message whose content is no longer there, from
// its record and from the header that a report has returned.
func ReturnedOriginal(m queue.Record, header *mime.Header) Original {
	return Original{subject: m.Subject, messageID: m.MessageID, report: isReport(header)}
}

// NotifyReturned returns the notification that a message of which the sender thinks that it
// was sent did not reach some of its recipients. It goes to the sender, or to the postmaster
// if the sender wants none or would get it in the mailbox that has the report of Microsoft
// 365 already: nobody may look there, as in that of a device. The error is ErrNotWanted,
// ErrTold, or an ImpossibleError.
func (n Notifier) NotifyReturned(m queue.Record, returns []queue.Return, original Original) (*queue.Submission, error) {
	lane := n.lane(m)
	switch {
	case m.Envelope.From == "":
		return nil, ImpossibleError("it has no sender (MAIL FROM:<>)") // RFC 5321 section 6.1
	case original.report:
		return nil, ImpossibleError("it is a bounce itself")
	case blocks(AdviceForCode(returns[0].Code).Reason, m.Lane, lane):
		return nil, ImpossibleError("its mailbox cannot send a bounce either; set delivery.postmaster to another mailbox")
	}
	to, returns, err := n.whoToTell(m, returns)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	x := &notice{
		id: queue.NewID(now), action: Failed, host: n.Host, now: now, from: lane.Mailbox, to: to,
		about: m, returns: returns, reason: AdviceForCode(returns[0].Code).Reason, original: original,
	}
	for _, r := range returns {
		x.recipients = append(x.recipients, r.Recipient)
	}
	return n.withCopy(x.submission(lane), Failed), nil
}

// whoToTell returns who gets the notification, and what of.
func (n Notifier) whoToTell(m queue.Record, returns []queue.Return) (to string, _ []queue.Return, err error) {
	sender := m.Envelope.From
	wanted := wanting(m.Envelope, Failed)
	of := slices.DeleteFunc(slices.Clone(returns), func(r queue.Return) bool { return !slices.Contains(wanted, r.Recipient) })
	to = sender
	if n.To != nil {
		to = n.To(sender)
	}
	postmaster := n.Postmaster.Mailbox
	switch {
	case len(of) > 0 && !n.sameMailbox(m.Lane, to):
		return to, of, nil
	case postmaster != "" && !n.sameMailbox(m.Lane, postmaster):
		return postmaster, returns, nil
	case len(of) == 0:
		return "", nil, ErrNotWanted
	}
	return "", nil, ErrTold
}

func (n Notifier) sameMailbox(l queue.Lane, address string) bool {
	return strings.EqualFold(l.Mailbox, address) || n.Receives != nil && n.Receives(l, address)
}

// returnedProse returns the part for people of a notification about a message that came back.
func (n *notice) returnedProse() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail relay %s.\n\n", n.host)
	b.WriteString("Your message was sent, but Microsoft 365 reports that it did not arrive everywhere.\n")
	for _, group := range byCode(n.returns) {
		b.WriteString("\nIt did not reach:\n\n")
		for _, r := range group {
			b.WriteString("    " + text.OneLine(r.Recipient) + "\n")
		}
		a := AdviceForCode(group[0].Code)
		fmt.Fprintf(&b, "\nWhy: %s\n", a.Why)
		if said := text.Shorten(text.OneLine(group[0].Diagnostic), maxField); said != "" {
			fmt.Fprintf(&b, "The report says: %s\n", said)
		}
		fmt.Fprintf(&b, "\nWhat you can do: %s\n", a.Do)
	}
	n.particulars(&b)
	return b.String()
}

// byCode groups returns that have the same code, in the order of the first of each.
func byCode(returns []queue.Return) (groups [][]queue.Return) {
	at := map[string]int{}
	for _, r := range returns {
		i, ok := at[r.Code]
		if !ok {
			i, at[r.Code] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}
