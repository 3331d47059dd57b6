package graphmail

import (
	"strings"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// lostName reports the display name in From that recipients will not see: Exchange shows the
// mailbox's own (reported by users). owner is the mailbox's, where the directory tells.
//
// It is a loss where a sender rule has replaced the address too, since then several senders
// share a mailbox and the name told them apart. The owner of a mailbox who writes the own name
// in another way has lost nothing. What is shown for an address that is not the mailbox's is
// not known.
func lostName(m *mime.Message, rec queue.Record, owner graph.User) []finding {
	shown := from(m, rec).EmailAddress
	if shown.Name == "" || !isOwn(shown.Address, rec.Lane.Mailbox, owner) || strings.EqualFold(strings.TrimSpace(shown.Name), owner.DisplayName) {
		return nil
	}
	f := finding{LossFrom, "the name " + shown.Name + ": Exchange shows that of the mailbox " + rec.Lane.Mailbox}
	switch {
	case !mailaddr.Same(m.From[0].Address, shown.Address):
	case owner.DisplayName == "": // it may be the same
		return nil
	default:
		f.kind = ""
	}
	return []finding{f}
}

// isOwn reports whether an address is known to be the mailbox's.
func isOwn(address, mailbox string, owner graph.User) bool {
	return mailaddr.Same(address, mailbox) || owner.ID != "" && (mailaddr.Same(address, owner.Mail) || mailaddr.Same(address, owner.UserPrincipalName))
}
