package simulator

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// The folders of a mailbox.
const (
	Drafts           = "Drafts"
	SentItems        = "Sent Items"
	Inbox            = "Inbox"
	JunkEmail        = "Junk Email"
	DeletedItems     = "Deleted Items"
	RecoverableItems = "Recoverable Items" // soft-deleted, not shown in lists of the mailbox
	Purges           = "Purges"            // of permanentDelete, below Recoverable Items
)

// Message is a copy of an item in a mailbox.
type Message struct {
	ID                string       `json:"id"` // immutable id
	Mailbox           string       `json:"mailbox"`
	Folder            string       `json:"folder"`
	Submitted         bool         `json:"submitted"` // accepted for sending; not sent yet while it is in Drafts
	Unread            bool         `json:"unread,omitempty"`
	Subject           string       `json:"subject"`
	Body              Body         `json:"body"` // as it was sent
	BodyDropped       bool         `json:"bodyDropped,omitempty"`
	From              *Address     `json:"from,omitempty"`
	Sender            *Address     `json:"sender,omitempty"`
	To                []Address    `json:"to,omitempty"`
	Cc                []Address    `json:"cc,omitempty"`
	Bcc               []Address    `json:"bcc,omitempty"`
	ReplyTo           []Address    `json:"replyTo,omitempty"`
	Importance        string       `json:"importance"`
	Categories        []string     `json:"categories,omitempty"`
	ReadReceipt       bool         `json:"readReceipt,omitempty"`
	DeliveryReceipt   bool         `json:"deliveryReceipt,omitempty"`
	InternetMessageID string       `json:"internetMessageId"`
	Headers           []Header     `json:"internetMessageHeaders,omitempty"`
	Properties        []Property   `json:"extendedProperties,omitempty"`
	Attachments       []Attachment `json:"attachments,omitempty"`
	MIME              *MIME        `json:"mime,omitempty"` // of items that were created from MIME
	Created           time.Time    `json:"created"`
	Modified          time.Time    `json:"modified"`
	Sent              time.Time    `json:"sent,omitzero"`     // when the send was accepted
	Planted           bool         `json:"planted,omitempty"` // by Plant, not by a client
}

// Body is the body of a message. ContentType is "text" or "html".
type Body struct {
	ContentType string `json:"contentType"`
	Content     string `json:"content"`
}

// Address is an address with an optional display name.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Header is an entry of internetMessageHeaders.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Property is a single-value extended property. Its ID is normalized.
type Property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// Attachment describes an attachment. Simulator.Content returns its content.
type Attachment struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	ContentType string    `json:"contentType"`
	ContentID   string    `json:"contentId,omitempty"`
	IsInline    bool      `json:"isInline,omitempty"`
	IsItem      bool      `json:"isItem,omitempty"` // an itemAttachment, whose content is the JSON of its item
	BySession   bool      `json:"bySession,omitempty"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"` // lower-case hex
	Kept        bool      `json:"kept"`   // whether Simulator.Content has the content
	Modified    time.Time `json:"modified"`
}

// MIME describes the MIME message that an item was created from. Simulator.Content returns
// it.
type MIME struct {
	ID     string `json:"id"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Kept   bool   `json:"kept"`
}

// item is a message in a mailbox. The simulator's mutex guards it.
type item struct {
	Message
	mutableID    string // the id that changes when the item moves to another folder
	conversation string
	changes      int // number of changes, for changeKey
	path         string
	emptyGroup   bool // it was created from MIME with an empty group in a recipient field
	deleted      bool
	noCopy       bool          // sent by sendMail without a copy in Sent Items
	flight       time.Duration // from Sent until it moves to Sent Items
	planted      *Message      // as Plant added it, nil for others
	box          *mailbox
	arrivals     int  // how many of the arrivals that are kept are of it
	dropped      bool // its contents were given up
}

// clone returns a copy that shares no slice with m.
func (m Message) clone() Message {
	for _, list := range []*[]Address{&m.To, &m.Cc, &m.Bcc, &m.ReplyTo} {
		*list = slices.Clone(*list)
	}
	m.Categories = slices.Clone(m.Categories)
	m.Headers = slices.Clone(m.Headers)
	m.Properties = slices.Clone(m.Properties)
	m.Attachments = slices.Clone(m.Attachments)
	return m
}

// IsDraft reports whether the item is a draft, as isDraft shows. A deleted draft remains one.
func (m Message) IsDraft() bool {
	switch m.Folder {
	case Drafts:
		return true
	case DeletedItems, RecoverableItems, Purges:
		return !m.Submitted
	}
	return false
}

// recoverable reports whether the item is in Recoverable Items, or in Purges below it.
func (m Message) recoverable() bool { return m.Folder == RecoverableItems || m.Folder == Purges }

// inFlight reports whether the item was accepted for sending and is not in Sent Items yet.
func (m Message) inFlight() bool { return m.Submitted && m.Folder == Drafts }

// Recipients returns the addresses of To, Cc and Bcc, in this order.
func (m Message) Recipients() []string {
	var all []string
	for _, list := range [][]Address{m.To, m.Cc, m.Bcc} {
		for _, a := range list {
			all = append(all, a.Address)
		}
	}
	return all
}

// property returns the value of an extended property, by its normalized id.
func (m Message) property(id string) string {
	for _, p := range m.Properties {
		if p.ID == id {
			return p.Value
		}
	}
	return ""
}

// Messages returns copies of the items in a mailbox, oldest first. "" stands for all
// mailboxes.
func (s *Simulator) Messages(mailbox string) []Message {
	return s.messages(func(i *item) bool { return mailbox == "" || i.Mailbox == strings.ToLower(mailbox) })
}

// Sent returns copies of all items in Sent Items, oldest first.
func (s *Simulator) Sent() []Message {
	return s.messages(func(i *item) bool { return i.Folder == SentItems })
}

// Drafts returns copies of all items in Drafts, oldest first. Those that are being sent have
// Submitted set.
func (s *Simulator) Drafts() []Message {
	return s.messages(func(i *item) bool { return i.Folder == Drafts })
}

func (s *Simulator) messages(wanted func(*item) bool) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Message{}
	for _, box := range s.mailboxes {
		for i := range maps.Values(box.byImmutable) {
			if wanted(i) {
				found = append(found, i.clone())
			}
		}
	}
	slices.SortFunc(found, func(a, b Message) int { return a.Created.Compare(b.Created) })
	return found
}

// Content returns the content of the attachment or MIME message with this id, and whether it
// was kept. The caller must not change it.
func (s *Simulator) Content(id string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.content.kept[id]
	return content, ok
}
