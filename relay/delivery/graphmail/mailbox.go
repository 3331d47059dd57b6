package graphmail

import (
	"context"
	"maps"
	"slices"
	"strings"

	"graphrelay/graph"
)

// find looks for the message's items in the mailbox: by the queue ID that they carry, or,
// as MIME can carry none, by Message-ID and recipients. A client may send one message,
// under one Message-ID, to each recipient alone.
func (m *mailbox) find(ctx context.Context, path string) (s graph.Search, reply graph.Reply, err error) {
	if path == pathMIME {
		s, reply, err = m.FindByMessageID(ctx, m.messageID)
		others := func(i graph.Item) bool { return !maps.Equal(recipientsOf(i), addressSet(m.message.Envelope.To)) }
		s.Items = slices.DeleteFunc(s.Items, others)
	} else {
		s, reply, err = m.FindByQueueID(ctx, m.message.ID)
	}
	if s.New {
		m.log.Warn("look-ups in a mailbox return items that were not searched for; they are left alone, and drafts that are not found are made anew",
			"lane", m.message.Lane.String(), "request_id", reply.RequestID)
	}
	return s, reply, err
}

func recipientsOf(i graph.Item) map[string]bool {
	var all []string
	for _, r := range slices.Concat(i.To, i.Cc, i.Bcc) {
		all = append(all, r.EmailAddress.Address)
	}
	return addressSet(all)
}

// addressSet ignores case, as addresses are compared everywhere.
func addressSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, a := range list {
		set[strings.ToLower(a)] = true
	}
	return set
}
