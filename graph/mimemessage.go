package graph

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
)

// MIME is a whole RFC 5322 message that Graph takes as it is. Its Bcc field names
// those who get it unseen.
type MIME struct {
	Size int64            // bytes
	Open func() io.Reader // from the beginning, Size bytes
}

// encoded is its length in a request, which is base64.
func (m MIME) encoded() int64 { return int64(base64.StdEncoding.EncodedLen(int(m.Size))) }

// Fits tells whether it can be sent as one request (user-post-messages: 4 MB).
func (m MIME) Fits() bool { return m.encoded() < MaxRequestBytes }

func (m MIME) body() io.Reader { return &base64Reader{src: m.Open()} }

// CreateMIMEDraft makes a draft of a MIME message (user-post-messages, MIME) and
// returns its immutable id. Such a draft cannot carry an extended property from
// its creation; its Message-ID and its recipients have to find it, see FindByMessageID.
func (c *Client) CreateMIMEDraft(ctx context.Context, mailbox string, m MIME) (string, Reply, error) {
	return c.create(ctx, &request{op: "create_mime", method: http.MethodPost, mailbox: mailbox, path: "/messages",
		contentType: "text/plain", body: m.body, length: m.encoded(), success: []int{http.StatusCreated}})
}

// FindByMessageID returns the items with this Message-ID, at most a hundred, and
// their recipients: a client may send several messages under one.
func (c *Client) FindByMessageID(ctx context.Context, mailbox, messageID string) ([]Item, Reply, error) {
	return c.find(ctx, mailbox, "id,isDraft,toRecipients,ccRecipients,bccRecipients", 100, "internetMessageId eq '"+strings.ReplaceAll(messageID, "'", "''")+"'")
}

// SendMIME sends a MIME message without a draft (user-sendmail). It needs no right
// but Mail.Send. A copy is kept in Sent Items. record is called when the request's turn
// has come: after it, nobody can tell whether the message was sent.
func (c *Client) SendMIME(ctx context.Context, mailbox string, m MIME, record func() error) (Reply, error) {
	return c.call(ctx, &request{op: opSendMail, method: http.MethodPost, mailbox: mailbox, path: "/sendMail", record: record,
		contentType: "text/plain", body: m.body, length: m.encoded(), success: []int{http.StatusAccepted}}, nil)
}

// SendMail sends a message with its files in one request (user-sendmail, JSON),
// with or without a copy in Sent Items. record is as for SendMIME.
func (c *Client) SendMail(ctx context.Context, mailbox string, m *Message, files []Attachment, keepCopy bool, record func() error) (Reply, error) {
	r, err := sendMailRequest(mailbox, m, files, keepCopy)
	if err != nil {
		return Reply{}, err
	}
	r.record = record
	return c.call(ctx, r, nil)
}

func sendMailRequest(mailbox string, m *Message, files []Attachment, keepCopy bool) (*request, error) {
	r := &request{op: opSendMail, method: http.MethodPost, mailbox: mailbox, path: "/sendMail", success: []int{http.StatusAccepted}}
	list := make([]fileAttachment, len(files))
	for i, f := range files {
		list[i] = fileAttachmentOf(f)
	}
	type message struct {
		*Message
		Attachments []fileAttachment `json:"attachments,omitempty"`
	}
	return r, r.withContent(struct {
		Message message `json:"message"`
		Keep    bool    `json:"saveToSentItems"`
	}{message{m, list}, keepCopy}, files...)
}

// FitsSendMail tells whether SendMail can send the message as one request.
func FitsSendMail(m *Message, files []Attachment) bool {
	r, err := sendMailRequest("", m, files, false)
	return err == nil && r.length < MaxRequestBytes
}
