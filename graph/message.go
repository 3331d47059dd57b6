package graph

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Limits of Graph's mail calls. Microsoft says MB and never whether binary: the
// smaller reading is used where more would be refused.
const (
	MaxRequestBytes   = 4_000_000 // any request (use-the-api)
	MaxPostAttachment = 3_000_000 // "under 3 MB" (message-post-attachments); from here an upload session
	MaxRecipients     = 500       // to, cc and bcc together (resources/message)
	MaxHeaders        = 5         // internetMessageHeaders, undocumented
	MaxSubject        = 255       // characters (Exchange limits)
)

// Ids of single-value extended properties.
const (
	// PropertyQueueID names the draft by what we know of it before it exists.
	PropertyQueueID      = "String {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Name graphrelay-id"
	PropertyInReplyTo    = "String 0x1042"  // PidTagInReplyToId
	PropertyReferences   = "String 0x1039"  // PidTagInternetReferences
	PropertySensitivity  = "Integer 0x0036" // PidTagSensitivity
	PropertyUnsubscribe  = "String 0x1045"  // PidTagListUnsubscribe
	propertyMessageFlags = "Integer 0x0E07" // PidTagMessageFlags
)

// flagSubmitted is mfSubmitted: the store has the message and is to send it
// (MS-OXCMSG 2.2.1.6).
const flagSubmitted = 0x4

// Recipient as Graph shapes it.
type Recipient struct {
	EmailAddress EmailAddress `json:"emailAddress"`
}

// EmailAddress is a name and an address.
type EmailAddress struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Body is an itemBody; ContentType is "html" or "text".
type Body struct {
	ContentType string `json:"contentType"`
	Content     string `json:"content"`
}

// Header is an internetMessageHeader; its name starts with x-.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Property is a singleValueLegacyExtendedProperty.
type Property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// Message is the part of Graph's message that a draft is made with
// (resources/message). An empty internetMessageHeaders would be refused.
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

// Size is the length of the request that creates m, in bytes.
func (m *Message) Size() int64 {
	var r request
	if err := r.json(m); err != nil {
		return 0
	}
	return r.length
}

// Item is what is looked at of a message in a mailbox.
type Item struct {
	ID         string      `json:"id"`
	IsDraft    bool        `json:"isDraft"`
	Properties []Property  `json:"singleValueExtendedProperties"`
	To         []Recipient `json:"toRecipients"` // these three by FindByMessageID alone
	Cc         []Recipient `json:"ccRecipients"`
	Bcc        []Recipient `json:"bccRecipients"`
}

// UnmarshalJSON refuses an item that does not say whether it is a draft: taken
// for a sent one, it would end a message that never left.
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
		return errors.New("an item without id or isDraft")
	}
	i.IsDraft = *v.IsDraft
	return nil
}

// Submitted tells that the store has taken the item for sending, where Graph
// shows it: such an item leaves by itself, however long that takes.
func (i Item) Submitted() bool {
	for _, p := range i.Properties {
		if strings.EqualFold(strings.Replace(p.ID, "0x0", "0x", 1), "Integer 0xE07") {
			return flags(p.Value)&flagSubmitted != 0
		}
	}
	return false
}

func flags(value string) (n int64) {
	_ = json.Unmarshal([]byte(value), &n)
	return n
}

// CreateDraft makes a draft from message (user-post-messages, JSON) and returns its
// immutable id. Only 201 is success: an empty 200 has been seen for a refusal.
func (m Mailbox) CreateDraft(ctx context.Context, message *Message) (string, Reply, error) {
	r := &request{op: "create", method: http.MethodPost, path: "/messages", success: []int{http.StatusCreated}}
	if err := r.json(message); err != nil {
		return "", Reply{}, err
	}
	return m.create(ctx, r)
}

func (m Mailbox) create(ctx context.Context, r *request) (string, Reply, error) {
	var item createdItem
	reply, err := m.call(ctx, r, &item)
	if err == nil && item.id == "" {
		err = unreadable(r.op, reply, errors.New("it names no id"))
	}
	return item.id, reply, err
}

// createdItem is the answer to create, of which only the id is read: the rest repeats
// the message, and usually stands behind.
type createdItem struct{ id string }

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

// FindByQueueID returns the items of the mailbox that carry the queue ID, at most ten.
func (m Mailbox) FindByQueueID(ctx context.Context, queueID string) ([]Item, Reply, error) {
	return m.find(ctx, "id,isDraft", 10, "singleValueExtendedProperties/Any(ep: ep/id eq '"+PropertyQueueID+
		"' and ep/value eq '"+strings.ReplaceAll(queueID, "'", "''")+"')")
}

func (m Mailbox) find(ctx context.Context, fields string, top int, filter string) ([]Item, Reply, error) {
	r := &request{op: "find", method: http.MethodGet, path: "/messages", success: []int{http.StatusOK},
		query: url.Values{"$filter": {filter}, "$select": {fields}, "$top": {strconv.Itoa(top)}}}
	for range maxPages {
		var list struct {
			Value []Item `json:"value"`
			Next  string `json:"@odata.nextLink"`
		}
		reply, err := m.call(ctx, r, &list)
		if err == nil && list.Value == nil {
			err = unreadable(r.op, reply, errNoList)
		}
		if err != nil || len(list.Value) > 0 || list.Next == "" {
			return list.Value, reply, err
		}
		next, err := url.Parse(list.Next)
		if err != nil {
			return nil, reply, unreadable(r.op, reply, errors.New("its next page has no readable link"))
		}
		r.query = next.Query() // of the same list: no link says where the token goes
	}
	return nil, Reply{}, unreadable(r.op, Reply{}, errors.New("its pages are empty and do not end"))
}

// maxPages bounds how many empty pages of a list are turned. OData allows them
// before one that is not.
const maxPages = 20

// Item returns the item as it is now. NotFound(err) tells that it is not there,
// which is also the answer for some time while an item is being sent.
func (m Mailbox) Item(ctx context.Context, id string) (Item, Reply, error) {
	query := url.Values{
		"$select": {"id,isDraft"},
		"$expand": {"singleValueExtendedProperties($filter=id eq '" + propertyMessageFlags + "')"},
	}
	item, reply, err := m.getItem(ctx, id, query)
	if reply.Status == http.StatusBadRequest { // the flags are a help, not a need
		query.Del("$expand")
		item, reply, err = m.getItem(ctx, id, query)
	}
	return item, reply, err
}

func (m Mailbox) getItem(ctx context.Context, id string, query url.Values) (item Item, reply Reply, err error) {
	reply, err = m.call(ctx, &request{op: "get", method: http.MethodGet,
		path: "/messages/" + url.PathEscape(id), query: query, success: []int{http.StatusOK}}, &item)
	if err == nil && item.ID == "" {
		err = unreadable("get", reply, errors.New("it is empty"))
	}
	return item, reply, err
}

// The operations that send, which the pace of a mailbox counts.
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

// Delete removes an item. One that is gone already is a success.
func (m Mailbox) Delete(ctx context.Context, id string) (Reply, error) {
	reply, err := m.call(ctx, &request{op: "delete", method: http.MethodDelete,
		path: "/messages/" + url.PathEscape(id), success: []int{http.StatusNoContent}}, nil)
	if NotFound(err) {
		err = nil
	}
	return reply, err
}

const opProbe = "probe"

// Probe makes a request that needs Mail.Read or Mail.ReadWrite, to check that the
// mailbox exists and that the token is accepted for it.
func (m Mailbox) Probe(ctx context.Context) (Reply, error) {
	q := url.Values{"$select": {"id"}, "$top": {"1"}}
	return m.call(ctx, &request{op: opProbe, method: http.MethodGet, path: "/messages", query: q, success: []int{http.StatusOK}}, nil)
}
