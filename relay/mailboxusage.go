package relay

import (
	"cmp"
	"context"
	"slices"
	"time"

	"graphrelay/relay/operations"
)

// maxMailboxUsage is how many mailboxes Mailboxes returns.
const maxMailboxUsage = 1000

// Mailboxes returns the lanes that have messages or a pause, or have sent within 24 hours, with
// what they use of the limits: paused ones first, then those with messages. There are at most
// maxMailboxUsage of them.
func (r *Relay) Mailboxes(ctx context.Context) ([]operations.Mailbox, error) {
	lanes, err := r.Operations().Lanes(ctx)
	if err != nil {
		return nil, err
	}
	list := r.withRecipients(lanes)
	now := time.Now()
	rank := func(m operations.Mailbox) int {
		switch {
		case m.Paused(now):
			return 0
		case m.Waiting() > 0:
			return 1
		}
		return 2
	}
	slices.SortFunc(list, func(a, b operations.Mailbox) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Lane.Lane.String(), b.Lane.Lane.String()))
	})
	list = list[:min(len(list), maxMailboxUsage)]
	clients := r.generation().clients
	for i, m := range list {
		if m.Whole() {
			continue
		}
		if client, err := clients.Of(m.Lane.Lane.Lane()); err == nil {
			usage := client.Usage(m.Lane.Lane.Mailbox)
			list[i].Graph = &usage
		}
	}
	return list, nil
}

// withRecipients adds to lanes what their mailboxes sent, and the mailboxes that sent and have no
// lane any more.
func (r *Relay) withRecipients(lanes []operations.Lane) (list []operations.Mailbox) {
	type mailbox struct{ connection, address string }
	at := map[mailbox][]int{} // of list; a mailbox may be in the lanes of several principals
	limits := dailyLimits(r.generation().cfg)
	for i, l := range lanes {
		name := l.Lane.Lane()
		list = append(list, operations.Mailbox{Lane: l, RecipientLimit: limits[name.Connection].Recipients})
		at[mailbox{name.Connection, name.Mailbox}] = append(at[mailbox{name.Connection, name.Mailbox}], i)
	}
	for _, u := range r.quota.Usage() {
		known := at[mailbox{u.Connection, u.Mailbox}]
		for _, i := range known {
			list[i].Recipients, list[i].RecipientLimit = u.Recipients, u.Limit
		}
		if len(known) == 0 {
			list = append(list, operations.Mailbox{Lane: operations.Lane{Lane: operations.LaneName{Connection: u.Connection, Mailbox: u.Mailbox}},
				Recipients: u.Recipients, RecipientLimit: u.Limit})
		}
	}
	return list
}
