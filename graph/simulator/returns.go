package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
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

// returnMail puts a non-delivery report for the recipients in World.Returns into the Inbox of
// the sending mailbox, some time after the item was sent. The caller holds s.mu.
func (s *Simulator) returnMail(i *item) {
	w := s.world()
	r := report{sent: i.clone(), bare: w.BareReturns, odd: w.OddReturns}
	for _, recipient := range i.Recipients() {
		if status := w.returnStatus(recipient); status != "" {
			r.failed = append(r.failed, failedRecipient{recipient, status})
		}
	}
	if len(r.failed) > 0 {
		s.after(i.flight+w.ReturnDelay, i.box, func() { s.addReceived(i.box, []byte(r.text(time.Now())), reportClass) })
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

// addReceived adds a message to the Inbox. It returns nil if raw is no message. The caller
// holds s.mu.
func (s *Simulator) addReceived(box *mailbox, raw []byte, class string) *item {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil
	}
	i := newMIMEItem(message.Header)
	i.Properties = []Property{{ID: messageClass, Value: class}}
	for name, values := range message.Header {
		for _, value := range values {
			i.Headers = append(i.Headers, Header{Name: name, Value: value})
		}
	}
	i.Folder, i.Submitted, i.Unread, i.Sent = Inbox, true, true, time.Now()
	i.MIME = &MIME{ID: newID(attachmentPrefix), Size: int64(len(raw)), SHA256: sha256Hex(raw)}
	parts := mimeParts{item: i}
	parts.walk(textproto.MIMEHeader(message.Header), message.Body, 0)
	s.add(box, i)
	i.MIME.Kept = s.content.put(i.MIME.ID, raw)
	for n := range i.Attachments {
		i.Attachments[n].Kept = s.content.put(i.Attachments[n].ID, parts.contents[n])
	}
	return i
}

// Receive adds a message to the Inbox of a mailbox, as if it had come from outside, with this
// message class. It returns the immutable id. Touched shows what clients did to it.
func (s *Simulator) Receive(address, class string, raw []byte) (id string, err error) {
	address = strings.ToLower(address)
	if !s.mailboxExists(address) {
		return "", fmt.Errorf("there is no mailbox %q", address)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.addReceived(s.mailbox(address), raw, class)
	if i == nil {
		return "", errors.New("it is not a message")
	}
	s.markPlanted(i)
	return i.ID, nil
}

// report is a non-delivery report.
type report struct {
	sent   Message
	failed []failedRecipient
	bare   bool // see World.BareReturns
	odd    bool // see World.OddReturns
}

type failedRecipient struct {
	address string
	status  string // enhanced status code
}

// text returns the report: RFC 6522 and RFC 3464, with the sender, the subject and the header
// fields of Exchange's.
func (r report) text(now time.Time) string {
	_, domain, _ := strings.Cut(r.sent.Mailbox, "@")
	title, returned := "Undeliverable: ", "message/rfc822"
	if r.odd {
		title, returned = "Unzustellbar: ", "text/rfc822-headers"
	}
	id := r.sent.InternetMessageID
	related, reported := "In-Reply-To: "+id+"\r\nReferences: "+id+"\r\nX-Original-Message-ID: "+id+"\r\n", "Original-Message-ID: "+id+"\r\n"
	if r.bare {
		related, reported = "", ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: \"Microsoft Outlook\" <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@%s>\r\nTo: <%s>\r\n"+
		"Subject: %s\r\nDate: %s\r\nMessage-ID: %s\r\n%sAuto-Submitted: auto-replied\r\nX-MS-Exchange-Message-Is-Ndr:\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"report_\"\r\n\r\n",
		domain, r.sent.Mailbox, mime.QEncoding.Encode("utf-8", title+r.sent.Subject), now.UTC().Format(time.RFC1123Z), newInternetMessageID(), related)
	b.WriteString("--report_\r\nContent-Type: multipart/alternative; differences=Content-Type; boundary=\"prose_\"\r\n\r\n")
	for _, kind := range []string{"plain", "html"} {
		fmt.Fprintf(&b, "--prose_\r\nContent-Type: text/%s; charset=utf-8\r\n\r\nYour message couldn't be delivered: %s\r\n", kind, r.failed[0].status)
	}
	fmt.Fprintf(&b, "--prose_--\r\n\r\n--report_\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;SIMULATED.prod.outlook.com\r\n%s"+
		"Arrival-Date: %s\r\n\r\n", reported, r.sent.Sent.UTC().Format(time.RFC1123Z))
	for _, f := range r.failed {
		b.WriteString(r.status(f) + "\r\n")
	}
	fmt.Fprintf(&b, "--report_\r\nContent-Type: %s\r\n\r\nReceived: from SIMULATED.prod.outlook.com by SIMULATED.prod.outlook.com; %s\r\nFrom: %s\r\nMessage-ID: %s\r\nSubject: %s\r\nTo: %s\r\n\r\n--report_--\r\n",
		returned, r.sent.Sent.UTC().Format(time.RFC1123Z), r.sent.Mailbox, id, mime.QEncoding.Encode("utf-8", r.sent.Subject), r.failed[0].address)
	return b.String()
}

// status returns the fields for one recipient.
func (r report) status(f failedRecipient) string {
	if r.odd {
		return fmt.Sprintf("Original-Recipient: rfc822; %s\r\nFinal-Recipient: RFC822;%s\r\nACTION: Failed (simulated)\r\nStatus: %s (simulated)\r\n"+
			"Diagnostic-Code: smtp;550\r\n %s simulated\r\n\trefusal\r\nX-Display-Name: %s\r\n", f.address, strings.ToUpper(f.address), f.status, f.status, f.address)
	}
	return fmt.Sprintf("Final-Recipient: rfc822;%s\r\nAction: failed\r\nStatus: %s\r\nDiagnostic-Code: smtp;550 %s simulated refusal\r\n",
		f.address, f.status, f.status)
}
