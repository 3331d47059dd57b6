package graphmail

import (
	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// mayFallBack reports whether the message may leave under its fallback address, after Exchange
// has refused its From for good. Denied access to the mailbox is another refusal.
func (t *transfer) mayFallBack(refused error) bool {
	return graph.SendAsDenied(refused) && t.Message.Fallback != "" && t.p.Fallback != fallbackMade && t.plan != nil && !t.plan.fixed
}

// fallBack has the message planned anew with its fallback address.
func (t *transfer) fallBack(refused error) {
	t.p.Fallback, t.plan = fallbackMade, nil
	if t.p.DraftID != "" { // which is to be replaced
		t.p.Fallback = fallbackWanted
	}
	t.noteRefused("From replaced", "by "+t.Message.Fallback+": "+refused.Error(), refused)
}

// fallenBack returns the record of a message that shows its fallback address as From. The
// address that Exchange refused becomes Reply-To, unless the message has its own.
func fallenBack(m *mime.Message, rec queue.Record) (queue.Record, []finding) {
	wanted := from(m, rec).EmailAddress.Address
	detail := "shows " + rec.Fallback + " instead of " + wanted + ", which Exchange refused"
	if len(m.ReplyTo) > 0 {
		detail += "; answers go to its own Reply-To"
	}
	rec.From, rec.ReplyTo, rec.Sender = rec.Fallback, wanted, ""
	if mailaddr.Same(wanted, rec.Fallback) {
		rec.ReplyTo = ""
	}
	return rec, []finding{{LossFrom, detail}}
}
