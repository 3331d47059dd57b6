package graphmail

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
)

// findByQueueID looks for the items that carry the message's queue ID.
func (m *mailbox) findByQueueID(ctx context.Context) (graph.Search, graph.Reply, error) {
	s, reply, err := m.FindByQueueID(ctx, m.message.ID)
	m.warnOnce(s, reply)
	return s, reply, err
}

// findAlike looks for items that are not known by their queue ID: those with the message's
// Message-ID, recipients and subject that are not older than since, by this machine's clock.
// Items that carry the queue ID of another message are left out. The item with the id known
// is the message's in any case.
func (m *mailbox) findAlike(ctx context.Context, subject string, since time.Time, known string) (graph.Search, graph.Reply, error) {
	s, reply, err := m.FindByMessageID(ctx, m.messageID)
	m.warnOnce(s, reply)
	since = m.ServiceTime(since).Add(-clockTolerance)
	s.Items = slices.DeleteFunc(s.Items, func(i graph.Item) bool {
		at := i.Sent
		if i.IsDraft {
			at = i.Created
		}
		id := i.QueueID()
		return i.ID != known && (at.Before(since) || id != "" && id != m.message.ID ||
			!m.sameRecipients(i) || !sameSubject(i.Subject, subject))
	})
	return s, reply, err
}

// clockTolerance is how much earlier an item's time may seem: it has whole seconds, and
// clocks differ a little.
const clockTolerance = 3 * time.Second

// sameRecipients reports whether the item has the recipients of the message's envelope. A
// client may send one message, under one Message-ID, to each recipient alone.
func (m *mailbox) sameRecipients(i graph.Item) bool {
	return maps.Equal(recipientsOf(i), addressSet(m.message.Envelope.To))
}

// sameSubject compares the part of two subjects that Exchange keeps, without blanks.
func sameSubject(a, b string) bool {
	begin := func(s string) string {
		r := []rune(strings.Join(strings.Fields(s), ""))
		return string(r[:min(len(r), graph.MaxSubject*3/4)])
	}
	return begin(a) == begin(b)
}

// warnOnce logs that look-ups are not reliable, the first time that one was not.
func (m *mailbox) warnOnce(s graph.Search, reply graph.Reply) {
	if s.New {
		m.log.Warn("look-ups in a mailbox return items that were not searched for; they are left alone, and drafts that are not found are made anew",
			"lane", m.message.Lane.String(), "request_id", reply.RequestID)
	}
}

func recipientsOf(i graph.Item) map[string]bool {
	var all []string
	for _, r := range slices.Concat(i.To, i.Cc, i.Bcc) {
		all = append(all, r.EmailAddress.Address)
	}
	return addressSet(all)
}

// addressSet returns the addresses in the form in which they are compared.
func addressSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, a := range list {
		set[mailaddr.Canonical(a)] = true
	}
	return set
}
