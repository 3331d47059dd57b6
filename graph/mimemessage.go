package graph

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
)

// MIME is an RFC 5322 message, which Graph sends as it is. The recipients in its Bcc field
// are not shown to others.
type MIME struct {
	Size int64            // bytes
	Open func() io.Reader // returns a reader of all Size bytes
}

// encoded returns the message's length in a request, in base64.
func (m MIME) encoded() int64 { return int64(base64.StdEncoding.EncodedLen(int(m.Size))) }

// Fits reports whether the message fits into one request (user-post-messages: 4 MB).
func (m MIME) Fits() bool { return m.encoded() < MaxRequestBytes }

// MayFit is Fits with the larger meaning of 4 MB.
func (m MIME) MayFit() bool { return m.encoded() < MayFitBytes }

func (m MIME) body() io.Reader { return &base64Reader{src: m.Open()} }

// CreateMIMEDraft creates a draft from a MIME message (user-post-messages, MIME) and
// returns its immutable ID. Such a draft cannot be created with an extended property, so
// that it has to be found by its Message-ID and recipients, see FindByMessageID.
func (m Mailbox) CreateMIMEDraft(ctx context.Context, message MIME) (string, Reply, error) {
	return m.create(ctx, &request{op: opCreateMIME, method: http.MethodPost, path: "/messages",
		contentType: "text/plain", body: message.body, length: message.encoded(), success: []int{http.StatusCreated}})
}

// SendMIME sends a MIME message without a draft (user-sendmail). It needs no permission
// but Mail.Send. Graph keeps a copy in Sent Items.
//
// SendMIME calls record, which may be nil, right before the request, and returns its
// error without making the request. Once record was called it cannot be looked up
// whether the message was sent.
func (m Mailbox) SendMIME(ctx context.Context, message MIME, record func() error) (Reply, error) {
	return m.call(ctx, &request{op: opSendMail, method: http.MethodPost, path: "/sendMail", record: record,
		contentType: "text/plain", body: message.body, length: message.encoded(), success: []int{http.StatusAccepted}}, nil)
}

// Mail is a message with its attachments, to be sent without a draft (user-sendmail, JSON).
type Mail struct {
	Message     *Message
	Attachments []Attachment
	KeepCopy    bool // in Sent Items
}

// Fits reports whether SendMail can send m as one request.
func (m Mail) Fits() bool {
	r, err := m.request()
	return err == nil && r.length < MaxRequestBytes
}

// MayFit is Fits with the larger meaning of 4 MB.
func (m Mail) MayFit() bool {
	r, err := m.request()
	return err == nil && r.length < MayFitBytes
}

// SendMail sends a message in one request. It needs no permission but Mail.Send. record
// is as for SendMIME.
func (m Mailbox) SendMail(ctx context.Context, mail Mail, record func() error) (Reply, error) {
	r, err := mail.request()
	if err != nil {
		return Reply{}, err
	}
	r.record = record
	return m.call(ctx, r, nil)
}

func (m Mail) request() (*request, error) {
	r := &request{op: opSendMail, method: http.MethodPost, path: "/sendMail", success: []int{http.StatusAccepted}}
	short, inserts := m.Message.split()
	list := make([]fileAttachment, len(m.Attachments))
	for i, a := range m.Attachments {
		list[i] = fileAttachmentOf(a)
		inserts = append(inserts, a.content())
	}
	type message struct {
		*Message
		Attachments []fileAttachment `json:"attachments,omitempty"`
	}
	return r, r.jsonWith(struct {
		Message message `json:"message"`
		Keep    bool    `json:"saveToSentItems"`
	}{message{short, list}, m.KeepCopy}, inserts...)
}
