package simulator

import (
	"bytes"
	"encoding/base64"
	"mime"
	"net/mail"
	"net/textproto"
	"strings"
)

// readMIME reads a MIME message, which is in base64 in a text/plain body: "Send Outlook
// messages in MIME format". It returns the item, and the message and its attachments as
// contents.
func (c *call) readMIME() (*item, [][]byte, error) {
	body, err := c.readBody(c.sim.options.Limits.Request)
	if err != nil {
		return nil, nil, err
	}
	if c.r.PathValue("folder") != "" {
		return nil, nil, badRequest("UnableToDeserializePostBody", "were unable to deserialize ") // [reported]
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body)))
	if err != nil || len(raw) == 0 {
		return nil, nil, badRequest("ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
	}
	if err := c.sim.world().checkMIME(raw); err != nil {
		return nil, nil, err
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, badRequest("ErrorMimeContentInvalid", "Invalid MIME content: %v", err)
	}
	if c.sim.world().MIMELosesBcc {
		delete(message.Header, "Bcc")
	}
	i := newMIMEItem(message.Header)
	i.MIME = &MIME{ID: newID(attachmentPrefix), Size: int64(len(raw)), SHA256: sha256Hex(raw)}
	parts := mimeParts{item: i}
	parts.walk(textproto.MIMEHeader(message.Header), message.Body, 0)
	if n := len(i.Recipients()); n > maxRecipients {
		return nil, nil, badRequest("ErrorInvalidRecipients", "The message has %d recipients, more than the %d that are allowed.", n, maxRecipients)
	}
	return i, append([][]byte{raw}, parts.contents...), nil
}

// newMIMEItem returns an item with the properties that Graph takes from the header.
func newMIMEItem(header mail.Header) *item {
	i := &item{path: PathMIME}
	i.Body.ContentType, i.Importance = "text", "normal"
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if err != nil {
		subject = header.Get("Subject")
	}
	i.Subject = subject
	i.InternetMessageID = strings.TrimSpace(header.Get("Message-Id"))
	i.To = i.headerAddresses(header, "To")
	i.Cc = i.headerAddresses(header, "Cc")
	i.Bcc = i.headerAddresses(header, "Bcc")
	i.ReplyTo = i.headerAddresses(header, "Reply-To")
	if from := i.headerAddresses(header, "From"); len(from) > 0 {
		i.From = &from[0]
	}
	return i
}

// headerAddresses parses an address field. A recipient field with an empty group makes the
// send fail later [reported].
func (i *item) headerAddresses(header mail.Header, name string) []Address {
	var list []Address
	for _, value := range header[name] {
		parsed, err := mail.ParseAddressList(value)
		if err == nil && len(parsed) == 0 || err != nil && strings.HasSuffix(strings.TrimSpace(value), ":;") {
			i.emptyGroup = true
		}
		for _, a := range parsed {
			list = append(list, Address{Name: a.Name, Address: a.Address})
		}
	}
	return list
}
