package simulator

import (
	"slices"
	"time"
)

// Delivery is an accepted send: what the recipients would get.
type Delivery struct {
	Time              time.Time       `json:"time"`
	QueueID           string          `json:"queueId,omitempty"` // value of the queue property
	InternetMessageID string          `json:"internetMessageId"`
	MessageID         string          `json:"messageId"` // immutable id
	App               string          `json:"app"`
	Mailbox           string          `json:"mailbox"`
	Path              string          `json:"path"` // PathDraft, PathMIME or PathSendMail
	From              string          `json:"from"`
	FromName          string          `json:"fromName,omitempty"`
	Subject           string          `json:"subject"`
	To                []string        `json:"to,omitempty"`
	Cc                []string        `json:"cc,omitempty"`
	Bcc               []string        `json:"bcc,omitempty"`
	Attachments       []DeliveredFile `json:"attachments,omitempty"`
	MIMESHA256        string          `json:"mimeSha256,omitempty"`
	Planted           bool            `json:"planted,omitempty"` // the item was not made by a client
}

// DeliveredFile is an attachment as it was sent.
type DeliveredFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Recipients returns the addresses of To, Cc and Bcc, in this order.
func (d Delivery) Recipients() []string { return slices.Concat(d.To, d.Cc, d.Bcc) }

// Key returns the queue id, or the internetMessageId of a message without one.
func (d Delivery) Key() string {
	if d.QueueID != "" {
		return d.QueueID
	}
	return d.InternetMessageID
}

// ledger has the last accepted sends. The simulator's mutex guards it.
type ledger struct {
	limit   int
	total   int
	entries []Delivery
}

func (l *ledger) add(d Delivery) {
	l.total++
	if len(l.entries) >= l.limit {
		l.entries = l.entries[1:]
	}
	l.entries = append(l.entries, d)
}

// Ledger returns the accepted sends, oldest first, at most LedgerSize. Two entries with the
// same Key mean that the recipients would get a message twice.
func (s *Simulator) Ledger() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger.entries)
}

func (s *Simulator) delivery(i *item, app string) Delivery {
	d := Delivery{
		Time: i.Sent, QueueID: i.property(s.options.QueueProperty), InternetMessageID: i.InternetMessageID, MessageID: i.ID,
		App: app, Mailbox: i.Mailbox, Path: i.path, From: i.From.Address, FromName: i.From.Name, Subject: i.Subject,
		To: addressStrings(i.To), Cc: addressStrings(i.Cc), Bcc: addressStrings(i.Bcc), Planted: i.Planted,
	}
	for _, a := range i.Attachments {
		d.Attachments = append(d.Attachments, DeliveredFile{Name: a.Name, Size: a.Size, SHA256: a.SHA256})
	}
	if i.MIME != nil {
		d.MIMESHA256 = i.MIME.SHA256
	}
	return d
}

func addressStrings(list []Address) []string {
	var addresses []string
	for _, a := range list {
		addresses = append(addresses, a.Address)
	}
	return addresses
}
