package simulator

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Folders that items can be in.
const (
	Drafts    = "Drafts"
	SentItems = "Sent Items"
)

// Message is a copy of one item of a mailbox, for tests and viewers.
type Message struct {
	ID                string       `json:"id"` // immutable id
	Mailbox           string       `json:"mailbox"`
	Folder            string       `json:"folder"`
	Submitted         bool         `json:"submitted"` // accepted for sending; in Drafts, still under way
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
	MIME              *MIME        `json:"mime,omitempty"` // of items that were made from MIME
	Created           time.Time    `json:"created"`
	Modified          time.Time    `json:"modified"`
	Sent              time.Time    `json:"sent,omitzero"` // when the send was accepted
}

// Body is a message's one body. ContentType is "text" or "html".
type Body struct {
	ContentType string `json:"contentType"`
	Content     string `json:"content"`
}

// Address is a mailbox with an optional display name.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Header is one of internetMessageHeaders.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Property is a single-value extended property, its id normalized.
type Property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// Attachment describes one attachment. Its bytes are behind Simulator.Content.
type Attachment struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	ContentType string    `json:"contentType"`
	ContentID   string    `json:"contentId,omitempty"`
	IsInline    bool      `json:"isInline,omitempty"`
	IsItem      bool      `json:"isItem,omitempty"` // an itemAttachment: the content is its item's JSON
	BySession   bool      `json:"bySession,omitempty"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"` // lower-case hex
	Kept        bool      `json:"kept"`   // whether the content is still there
	Modified    time.Time `json:"modified"`
}

// MIME describes the message that an item was made from, decoded from base64. Its bytes
// are behind Simulator.Content.
type MIME struct {
	ID     string `json:"id"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Kept   bool   `json:"kept"`
}

// item is a message in a mailbox. The simulator's mutex guards it.
type item struct {
	Message
	mutableID    string // the id that changes with the folder
	conversation string
	changes      int // counts modifications, for changeKey
	path         string
	emptyGroup   bool // MIME with a recipient field that is an empty group
	deleted      bool
	noCopy       bool // sendMail without a copy
	box          *mailbox
}

// clone is a copy that shares no slice with the item.
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

// IsDraft says what Graph's isDraft does.
func (m Message) IsDraft() bool { return m.Folder == Drafts }

// Recipients are the addresses of To, Cc and Bcc, in this order.
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

// Messages returns copies of a mailbox's items, oldest first. An empty mailbox means
// all of them.
func (s *Simulator) Messages(mailbox string) []Message {
	return s.messages(func(i *item) bool { return mailbox == "" || i.Mailbox == strings.ToLower(mailbox) })
}

// Sent returns copies of all items in Sent Items, oldest first.
func (s *Simulator) Sent() []Message {
	return s.messages(func(i *item) bool { return i.Folder == SentItems })
}

// Drafts returns copies of all items in Drafts, oldest first; those under way have
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

// Content returns the bytes of an attachment or of an item's MIME by its id, and whether
// they were kept. The caller must not change them.
func (s *Simulator) Content(id string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.content.kept[id]
	return content, ok
}
