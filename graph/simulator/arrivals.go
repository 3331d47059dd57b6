package simulator

import (
	"slices"
	"strings"
	"time"
)

// An arrival is a message that was sent, and who has a copy of it. Its recipients may have no
// mailbox in the tenant. It shares the item with the sending mailbox, also after the item was
// deleted there. The simulator's mutex guards it.
type arrival struct {
	item *item
	at   time.Time
	to   []string // lower-case addresses that have a copy, and have not deleted it
}

// arrive records that a message arrived, and forgets the oldest one above Options.Arrivals. The
// caller holds s.mu.
func (s *Simulator) arrive(i *item, to []string) {
	i.arrivals++
	s.arrivals = append(s.arrivals, &arrival{item: i, at: time.Now(), to: to})
	if len(s.arrivals) > s.options.Arrivals {
		s.forget(s.arrivals[0])
		s.arrivals = s.arrivals[1:]
	}
}

// forget gives up what an arrival, which is removed from the list, kept of a deleted item. The
// caller holds s.mu.
func (s *Simulator) forget(a *arrival) {
	if a.item.arrivals--; a.item.arrivals == 0 && a.item.deleted {
		s.content.drop(a.item)
	}
}

// arrived returns the copies that an address got and has not deleted, newest first. "" stands
// for all messages, whoever got them. The caller holds s.mu.
func (s *Simulator) arrived(address string) (list []*arrival) {
	for _, a := range slices.Backward(s.arrivals) {
		if address == "" || slices.Contains(a.to, address) {
			list = append(list, a)
		}
	}
	return list
}

// removeArrivals removes what wanted returns true for: the copy of an address or, if address
// is "", all copies. The caller holds s.mu.
func (s *Simulator) removeArrivals(address string, wanted func(*arrival) bool) {
	s.arrivals = slices.DeleteFunc(s.arrivals, func(a *arrival) bool {
		switch {
		case !wanted(a):
			return false
		case address == "":
			s.forget(a)
			return true
		}
		a.to = slices.DeleteFunc(a.to, func(to string) bool { return to == address })
		return false
	})
}

// asReceived returns the item as a recipient has it: without Bcc, and without what only the
// sending mailbox knows.
func (a *arrival) asReceived(address string) Message {
	m := a.item.Message
	m.Mailbox, m.Folder, m.Bcc, m.Properties, m.Created = address, Inbox, nil, nil, a.at
	return m
}

// Received returns the copies that a recipient got, oldest first: of the last Options.Arrivals
// messages that were sent, unless the recipient returned or deleted them. The recipient needs
// no mailbox in the tenant. Only messages that query finds are returned, see the search of the
// page; "" finds all.
func (s *Simulator) Received(recipient, query string) []Message {
	recipient = strings.ToLower(recipient)
	wanted := parseSearch(query)
	s.mu.Lock()
	var all []Message
	for _, a := range s.arrived(recipient) {
		all = append(all, a.asReceived(recipient))
	}
	s.mu.Unlock()
	found := []Message{}
	for _, m := range slices.Backward(all) {
		if recipient != "" && wanted.finds(&m) {
			found = append(found, m.clone())
		}
	}
	return found
}
