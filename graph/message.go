package graph

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits of Graph's mail requests. Microsoft's pages say MB and not whether that is
// 1,000,000 bytes or 1,048,576: the smaller is assumed.
const (
	MaxRequestBytes   = 4_000_000 // of any request (use-the-api)
	MayFitBytes       = 4 << 20   // what may fit, and is tried where there is no other way
	MaxPostAttachment = 3_000_000 // an attachment has to be smaller (message-post-attachments) or use an upload session
	MaxRecipients     = 500       // to, cc and bcc together (resources/message)
	MaxHeaders        = 5         // internetMessageHeaders; not documented, reported by users
	MaxSubject        = 255       // characters (Exchange limits)
)

// IDs of single-value extended properties.
const (
	// PropertyQueueID marks a draft with the relay's ID of the message, so that the draft
	// can be found if the answer with its item ID was lost.
	PropertyQueueID      = "String {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Name graphrelay-id"
	PropertyInReplyTo    = "String 0x1042"  // PidTagInReplyToId
	PropertyReferences   = "String 0x1039"  // PidTagInternetReferences
	PropertySensitivity  = "Integer 0x0036" // PidTagSensitivity
	PropertyUnsubscribe  = "String 0x1045"  // PidTagListUnsubscribe
	PropertyAutoReplies  = "Integer 0x3FDF" // PidTagAutoResponseSuppress (MS-OXOMSG)
	propertyMessageFlags = "Integer 0x0E07" // PidTagMessageFlags
)

// flagSubmitted is mfSubmitted: the message has been submitted for sending (MS-OXCMSG
// section 2.2.1.6).
const flagSubmitted = 0x4

// Recipient is a recipient (resources/recipient).
type Recipient struct {
	EmailAddress EmailAddress `json:"emailAddress"`
}

// EmailAddress is an emailAddress (resources/emailaddress).
type EmailAddress struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Body is an itemBody (resources/itembody). ContentType is "html" or "text".
type Body struct {
	ContentType string `json:"contentType"`
	Content     string `json:"content"`
}

// Header is an internetMessageHeader (resources/internetmessageheader). Its Name has to
// begin with "x-".
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Property is a singleValueLegacyExtendedProperty
// (resources/singlevaluelegacyextendedproperty).
type Property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// Message has the properties of a message that a draft is created with
// (resources/message). Empty ones are left out: Graph refuses an empty
// internetMessageHeaders.
type Message struct {
	Subject                    string      `json:"subject"`
	Body                       Body        `json:"body"`
	From                       *Recipient  `json:"from,omitempty"`
	Sender                     *Recipient  `json:"sender,omitempty"`
	ToRecipients               []Recipient `json:"toRecipients,omitempty"`
	CcRecipients               []Recipient `json:"ccRecipients,omitempty"`
	BccRecipients              []Recipient `json:"bccRecipients,omitempty"`
	ReplyTo                    []Recipient `json:"replyTo,omitempty"`
	Importance                 string      `json:"importance,omitempty"`
	InternetMessageID          string      `json:"internetMessageId,omitempty"`
	InternetMessageHeaders     []Header    `json:"internetMessageHeaders,omitempty"`
	IsReadReceiptRequested     bool        `json:"isReadReceiptRequested,omitempty"`
	IsDeliveryReceiptRequested bool        `json:"isDeliveryReceiptRequested,omitempty"`
	Properties                 []Property  `json:"singleValueExtendedProperties,omitempty"`
}

// Fits reports whether the request that creates m is within MaxRequestBytes. Most messages are
// far below it, and need not be encoded to see that.
func (m *Message) Fits() bool { return m.atMost() < MaxRequestBytes || m.Size() < MaxRequestBytes }

// Size returns the length of the request that creates m, in bytes.
func (m *Message) Size() int64 {
	var r request
	short, inserts := m.split()
	if err := r.jsonWith(short, inserts...); err != nil {
		return 0
	}
	return r.length
}

// atMost returns what Size does not exceed. JSON writes a byte as six at most (\u0000), and a byte
// that is no UTF-8 too (\ufffd).
func (m *Message) atMost() int64 {
	const names, ofEach = 1000, 100 // bytes of names and punctuation, of all and of each entry of a list
	n := len(m.Subject) + len(m.Body.ContentType) + len(m.Body.Content) + len(m.Importance) + len(m.InternetMessageID)
	entries := 0
	for _, list := range [][]Recipient{m.ToRecipients, m.CcRecipients, m.BccRecipients, m.ReplyTo} {
		entries += len(list)
		for _, r := range list {
			n += r.length()
		}
	}
	for _, r := range []*Recipient{m.From, m.Sender} {
		if r != nil {
			n += r.length()
		}
	}
	for _, h := range m.InternetMessageHeaders {
		n += len(h.Name) + len(h.Value)
	}
	for _, p := range m.Properties {
		n += len(p.ID) + len(p.Value)
	}
	entries += len(m.InternetMessageHeaders) + len(m.Properties)
	return names + ofEach*int64(entries) + 6*int64(n)
}

func (r Recipient) length() int { return len(r.EmailAddress.Name) + len(r.EmailAddress.Address) }

// longText is the length in bytes from which the content of a body is written into its request
// piece by piece. JSON makes several copies of a shorter one, which is quicker.
const longText = 16 << 10

// emptyText is the place in the JSON of a body where a long content is inserted.
const emptyText = `"content":""`

// split returns the message without a long content, and that to be inserted into its JSON.
func (m *Message) split() (*Message, []insert) {
	text := m.Body.Content
	if len(text) < longText {
		return m, nil
	}
	short := *m
	short.Body.Content = ""
	length, _ := io.Copy(io.Discard, &jsonReader{rest: text})
	return &short, []insert{{at: emptyText, length: length, open: func() io.Reader { return &jsonReader{rest: text} }}}
}

// Item is the state of a message in a mailbox.
type Item struct {
	ID         string      `json:"id"`
	IsDraft    bool        `json:"isDraft"`
	Properties []Property  `json:"singleValueExtendedProperties"`
	MessageID  string      `json:"internetMessageId"` // set by FindByMessageID only, like all that follows; the recipients by Recipients too
	Subject    string      `json:"subject"`
	Created    itemTime    `json:"createdDateTime"`
	Sent       itemTime    `json:"sentDateTime"`
	To         []Recipient `json:"toRecipients"`
	Cc         []Recipient `json:"ccRecipients"`
	Bcc        []Recipient `json:"bccRecipients"`
}

// UnmarshalJSON implements json.Unmarshaler. It returns an error if isDraft is missing: the
// item would be taken for a sent message although it may be an unsent draft.
func (i *Item) UnmarshalJSON(data []byte) error {
	type plain Item
	v := struct {
		*plain
		IsDraft *bool `json:"isDraft"`
	}{plain: (*plain)(i)}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if i.ID == "" || v.IsDraft == nil {
		return errors.New("an item has no id or no isDraft")
	}
	i.IsDraft = *v.IsDraft
	return nil
}

// itemTime is a time of the service's clock, in whole seconds; zero if it is not readable.
type itemTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *itemTime) UnmarshalJSON(data []byte) error {
	if t.Time.UnmarshalJSON(data) != nil {
		t.Time = time.Time{}
	}
	return nil
}

// QueueID returns the value of PropertyQueueID, or nothing if the item does not show it.
func (i Item) QueueID() string {
	for _, p := range i.Properties {
		if strings.EqualFold(p.ID, PropertyQueueID) {
			return p.Value
		}
	}
	return ""
}

// Submitted reports whether the item has been submitted for sending, as far as Graph shows
// it. Exchange then sends it, however long that takes.
func (i Item) Submitted() bool {
	for _, p := range i.Properties {
		if strings.EqualFold(strings.Replace(p.ID, "0x0", "0x", 1), "Integer 0xE07") {
			return flags(p.Value)&flagSubmitted != 0
		}
	}
	return false
}

// flags returns the value of PidTagMessageFlags, 0 if it is unreadable.
func flags(value string) (n int64) {
	_ = json.Unmarshal([]byte(value), &n)
	return n
}

// CreateDraft creates a draft (user-post-messages, JSON) and returns its immutable ID. Only
// 201 is success: Graph has been reported to refuse a message with an empty 200.
func (m Mailbox) CreateDraft(ctx context.Context, message *Message) (string, Reply, error) {
	r := &request{op: opCreate, method: http.MethodPost, path: "/messages", success: []int{http.StatusCreated}}
	short, inserts := message.split()
	if err := r.jsonWith(short, inserts...); err != nil {
		return "", Reply{}, err
	}
	return m.create(ctx, r)
}

func (m Mailbox) create(ctx context.Context, r *request) (string, Reply, error) {
	var item createdItem
	reply, err := m.call(ctx, r, &item)
	if err == nil && item.id == "" {
		err = unreadable(r.op, reply, errors.New("it has no id"))
	}
	return item.id, reply, err
}

// createdItem is the answer to create, of which only the id is read. The rest repeats the
// message, and usually follows the id.
type createdItem struct{ id string }

// readAnswer implements answerReader.
func (i *createdItem) readAnswer(body io.Reader) error {
	dec := json.NewDecoder(body)
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		if name == "id" {
			return dec.Decode(&i.id)
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return err
		}
	}
	return nil
}

// Item returns the item's present state. NotFound(err) reports whether it is missing, as
// it also is for a time while it is being sent.
func (m Mailbox) Item(ctx context.Context, id string) (Item, Reply, error) {
	query := url.Values{
		"$select": {"id,isDraft"},
		"$expand": {"singleValueExtendedProperties($filter=id eq '" + propertyMessageFlags + "')"},
	}
	item, reply, err := m.getItem(ctx, id, query)
	if reply.Status == http.StatusBadRequest { // try without the flags, which are not essential
		query.Del("$expand")
		item, reply, err = m.getItem(ctx, id, query)
	}
	return item, reply, err
}

// Recipients returns the recipients of an item. Those of a field that Graph does not show are
// nil; a field that names nobody is empty.
func (m Mailbox) Recipients(ctx context.Context, id string) (Item, Reply, error) {
	return m.getItem(ctx, id, url.Values{"$select": {"id,isDraft,toRecipients,ccRecipients,bccRecipients"}})
}

func (m Mailbox) getItem(ctx context.Context, id string, query url.Values) (item Item, reply Reply, err error) {
	reply, err = m.call(ctx, &request{op: "get", method: http.MethodGet,
		path: "/messages/" + url.PathEscape(id), query: query, success: []int{http.StatusOK}}, &item)
	if err == nil && item.ID == "" {
		err = unreadable("get", reply, errors.New("it is empty"))
	}
	return item, reply, err
}

// The operations that create a draft.
const (
	opCreate     = "create"
	opCreateMIME = "create_mime"
)

// The operations that count against Budgets.Sends.
const (
	opSend     = "send"
	opSendMail = "sendmail"
)

// Send submits the draft (message-send). Only 202 is success, also with a
// Retry-After, and it means accepted, not delivered.
//
// Send calls record, which may be nil, before the request, and returns its error
// without making the request. The time between the two is at most a second: if the
// request had to wait for longer, record is called once more.
func (m Mailbox) Send(ctx context.Context, id string, record func() error) (Reply, error) {
	return m.call(ctx, &request{op: opSend, method: http.MethodPost, record: record, recordEarly: true,
		path: "/messages/" + url.PathEscape(id) + "/send", success: []int{http.StatusAccepted}}, nil)
}

// Delete deletes an item, which Exchange may keep in Recoverable Items (message-delete). It is
// no error if the item does not exist or was deleted before; the status is 204 only if it was
// deleted now.
func (m Mailbox) Delete(ctx context.Context, id string) (Reply, error) {
	reply, err := m.call(ctx, &request{op: "delete", method: http.MethodDelete,
		path: "/messages/" + url.PathEscape(id), success: []int{http.StatusNoContent}}, nil)
	if NotFound(err) || deletedBefore(err) {
		err = nil
	}
	return reply, err
}

const opPermanentDelete = "permanent_delete"

// PermanentDelete deletes an item so that it takes no space in Recoverable Items
// (message-permanentdelete). It is no error if the item was deleted before. NotFound(err) may
// mean that there is no such item or no such action: Delete tells.
func (m Mailbox) PermanentDelete(ctx context.Context, id string) (Reply, error) {
	reply, err := m.call(ctx, &request{op: opPermanentDelete, method: http.MethodPost,
		path: "/messages/" + url.PathEscape(id) + "/permanentDelete", success: []int{http.StatusNoContent}}, nil)
	if deletedBefore(err) {
		err = nil
	}
	return reply, err
}

// deletedBefore reports whether an item cannot be deleted because it was deleted before: it
// can then still be read by its id (reported).
func deletedBefore(err error) bool {
	return is(err, func(e *Error) bool { return e.Code == codeCannotDelete })
}

const opProbe = "probe"

// Probe makes a request that needs Mail.Read or Mail.ReadWrite, to check that the
// mailbox exists and that the token is accepted for it. The page of a proxy, also with the
// status 200, is an error.
func (m Mailbox) Probe(ctx context.Context) (Reply, error) {
	q := url.Values{"$select": {"id"}, "$top": {"1"}}
	var page struct {
		Value []struct{} `json:"value"`
	}
	reply, err := m.call(ctx, &request{op: opProbe, method: http.MethodGet, path: "/messages", query: q, success: []int{http.StatusOK}}, &page)
	if err == nil && page.Value == nil {
		err = unreadable(opProbe, reply, errNoList)
	}
	return reply, err
}
