package simulator

import (
	"fmt"
	"mime"
	"net/http"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// The message class of a non-delivery report (MS-OXOMSG), in PidTagMessageClass.
const (
	messageClass = "String 0x1a"
	reportClass  = "REPORT.IPM.Note.NDR"
)

// returnMail puts a non-delivery report for each recipient in World.Returns into the Inbox of
// the sending mailbox, some time after the item was sent. The caller holds s.mu.
func (s *Simulator) returnMail(i *item) {
	w := s.world()
	sent := i.clone()
	for _, recipient := range i.Recipients() {
		if status := w.returnStatus(recipient); status != "" {
			s.after(i.flight+w.ReturnDelay, i.box, func() { s.deliverReport(i.box, report{sent, recipient, status, w.BareReturns}) })
		}
	}
}

// returnStatus returns the enhanced status code for a recipient, "" if the mail arrives.
func (w *World) returnStatus(recipient string) string {
	for address, status := range w.Returns {
		if strings.EqualFold(address, recipient) {
			return status
		}
	}
	return w.Returns["*"]
}

// deliverReport adds a report to the Inbox. The caller holds s.mu.
func (s *Simulator) deliverReport(box *mailbox, r report) {
	raw := r.text(time.Now())
	message, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return // the text is always a message
	}
	i := newMIMEItem(message.Header)
	i.Properties = []Property{{ID: messageClass, Value: reportClass}}
	for name, values := range message.Header {
		for _, value := range values {
			i.Headers = append(i.Headers, Header{Name: name, Value: value})
		}
	}
	i.Folder, i.Submitted, i.Unread, i.Sent = Inbox, true, true, time.Now()
	i.MIME = &MIME{ID: newID(attachmentPrefix), Size: int64(len(raw)), SHA256: sha256Hex([]byte(raw))}
	parts := mimeParts{item: i}
	parts.walk(textproto.MIMEHeader(message.Header), message.Body, 0)
	s.add(box, i)
	i.MIME.Kept = s.content.put(i.MIME.ID, []byte(raw))
	for n := range i.Attachments {
		i.Attachments[n].Kept = s.content.put(i.Attachments[n].ID, parts.contents[n])
	}
}

// report is a non-delivery report.
type report struct {
	sent      Message
	recipient string
	status    string // enhanced status code
	bare      bool   // see World.BareReturns
}

// text returns the report: RFC 3462 and RFC 3464, with the sender, the subject and the header
// fields of Exchange's.
func (r report) text(now time.Time) string {
	_, domain, _ := strings.Cut(r.sent.Mailbox, "@")
	subject := mime.QEncoding.Encode("utf-8", "Undeliverable: "+r.sent.Subject)
	related, reported := "In-Reply-To: "+r.sent.InternetMessageID+"\r\nX-Original-Message-ID: "+r.sent.InternetMessageID+"\r\n",
		"Original-Message-ID: "+r.sent.InternetMessageID+"\r\n"
	if r.bare {
		related, reported = "", ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: \"Microsoft Outlook\" <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@%s>\r\nTo: <%s>\r\n"+
		"Subject: %s\r\nDate: %s\r\nMessage-ID: %s\r\n%sAuto-Submitted: auto-replied\r\nX-MS-Exchange-Message-Is-Ndr:\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=report\r\n\r\n",
		domain, r.sent.Mailbox, subject, now.UTC().Format(time.RFC1123Z), newInternetMessageID(), related)
	fmt.Fprintf(&b, "--report\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nYour message to %s couldn't be delivered: %s\r\n", r.recipient, r.status)
	fmt.Fprintf(&b, "--report\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;SIMULATED.prod.outlook.com\r\n%s"+
		"Arrival-Date: %s\r\n\r\nFinal-Recipient: rfc822;%s\r\nAction: failed\r\nStatus: %s\r\n"+
		"Diagnostic-Code: smtp;550 %s simulated refusal\r\n\r\n",
		reported, r.sent.Sent.UTC().Format(time.RFC1123Z), r.recipient, r.status, r.status)
	fmt.Fprintf(&b, "--report\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: %s\r\nSubject: %s\r\nTo: %s\r\n\r\n--report--\r\n",
		r.sent.InternetMessageID, mime.QEncoding.Encode("utf-8", r.sent.Subject), r.recipient)
	return b.String()
}

// getMIME serves "Get MIME content of a message", for items that were created from MIME.
func (c *call) getMIME() (response, error) {
	var a response
	err := c.withItem(func(i *item) error {
		if i.MIME == nil || !i.MIME.Kept {
			return badRequest("BadRequest", "The simulator has no MIME content of this item.")
		}
		a = response{status: http.StatusOK, body: c.sim.content.kept[i.MIME.ID], header: http.Header{"Content-Type": {"text/plain"}}}
		return nil
	})
	return a, err
}
