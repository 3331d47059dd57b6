package graphmail

import (
	"context"
	"slices"
	"strings"

	"graphrelay/graph"
)

// bccIgnored is why a recipient does not get a message whose Bcc field Graph has ignored.
const bccIgnored = "Graph has ignored the Bcc field of a message that can only go as it is"

// checkBcc sees whether a draft made from MIME has kept its Bcc recipients: that Graph reads
// them is assumed. If it has not, an invitation or a report goes as a draft in JSON. Of a
// message that can only go as it is, the recipients in To and Cc get the draft, which names
// nobody else, and the others are told to the sender.
func (t *transfer) checkBcc(ctx context.Context) (step, error) {
	item, reply, err := t.mailbox.Recipients(ctx, t.p.DraftID)
	switch {
	case t.fresh.mayAppear(ctx, err):
		return t.checkBcc, nil
	case graph.SearchFailed(err) && !graph.NotFound(err): // they cannot be seen, and mail must not wait for that
		return t.send, nil
	case err != nil:
		return t.orAnew(err)
	case item.Bcc == nil, len(item.Bcc) > 0, len(item.To)+len(item.Cc) == 0: // they are there, or cannot be seen
		return t.send, nil
	}
	t.done("Bcc recipients missing", "the draft has only those in To and Cc", reply)
	if !breaksAsJSON(t.plan.kind) && !t.plan.stretch {
		t.p.AsDraft, t.plan = true, nil
		return t.makePlan, t.save(ctx)
	}
	list := slices.Clone(t.p.Refused)
	for _, a := range t.Message.Envelope.To {
		if slices.ContainsFunc(t.plan.bcc, func(b string) bool { return strings.EqualFold(a, b) }) {
			list = append(list, refusedRecipient{Address: a, Why: bccIgnored})
		}
	}
	t.exclude(list)
	return t.makePlan, t.save(ctx)
}

// hasBcc reports whether the message goes as MIME and has recipients that only its Bcc field
// names.
func (p *plan) hasBcc() bool { return p.whole != nil && len(p.bcc) > 0 }

// addressesOf returns the addresses of recipients.
func addressesOf(list []graph.Recipient) (out []string) {
	for _, r := range list {
		out = append(out, r.EmailAddress.Address)
	}
	return out
}
