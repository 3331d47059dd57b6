package graphmail

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
)

// remove deletes an item for good where Graph can, or else as an owner does. The status of the
// answer is 204 only if the item was there: one that was deleted before can still be read.
//
// A refusal of the permanent delete may mean that there is no such action, or no such item. The
// other delete tells, and the connection remembers if it deleted one that was there.
func (m *mailbox) remove(ctx context.Context, id string) (graph.Reply, error) {
	if _, missing := m.lacks.of(actionDelete, m.message.Lane); m.soft || missing {
		return m.Delete(ctx, id)
	}
	reply, refused := m.PermanentDelete(ctx, id)
	if !graph.ActionRefused(refused) && !graph.SearchFailed(refused) { // the latter are faults of the service
		return reply, refused
	}
	reply, err := m.Delete(ctx, id)
	if err == nil && reply.Status == http.StatusNoContent && graph.ActionRefused(refused) {
		m.lacks.add(actionDelete, everywhere(m.message.Lane), refused)
		m.log.Info("there is no permanent delete; what is deleted stays in Recoverable Items", "lane", m.message.Lane.String(), "error", refused)
	}
	return reply, err
}

// findByQueueID looks for the items that carry the message's queue ID.
func (m *mailbox) findByQueueID(ctx context.Context) (graph.Search, graph.Reply, error) {
	s, reply, err := m.FindByQueueID(ctx, m.message.ID)
	m.warnOnce(s, reply)
	return s, reply, err
}

// findAlike looks for items that are not known by their queue ID: those with the message's
// Message-ID, recipients and subject that were made or sent no longer ago than this. The
// service's clock alone tells when that was: this machine's may be wrong, and a queue that is
// shared goes by another. Items that carry the queue ID of another message are left out. The item
// with the id known is the message's in any case.
func (m *mailbox) findAlike(ctx context.Context, subject string, ago time.Duration, known string) (graph.Search, graph.Reply, error) {
	asked := time.Now()
	s, reply, err := m.FindByMessageID(ctx, m.messageID)
	m.warnOnce(s, reply)
	ago += time.Since(asked)
	now := reply.Date
	if now.IsZero() {
		now = time.Now()
	}
	since := now.Add(-ago - clockTolerance)
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

// isOwn reports whether the address is the mailbox's own, which Graph shows without being
// told.
func (m *mailbox) isOwn(from *graph.Recipient) bool {
	if from == nil {
		return false
	}
	a := from.EmailAddress.Address
	return mailaddr.Same(a, m.message.Lane.Mailbox) && (m.owner.Mail == "" || mailaddr.Same(a, m.owner.Mail))
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
