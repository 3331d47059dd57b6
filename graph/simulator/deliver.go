package simulator

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"
)

// maxDelivered is the size in bytes up to which a copy has the content of its files.
const maxDelivered = 8 << 20

// deliver puts a copy of a sent item into the Inbox of each recipient with a mailbox in the
// tenant, if Options.Deliver is set. Those in World.Returns get none. The caller holds s.mu.
func (s *Simulator) deliver(i *item) {
	if !s.options.Deliver {
		return
	}
	w := s.world()
	raw := s.wire(i)
	reached := map[string]bool{}
	for _, recipient := range i.Recipients() {
		address := s.addressOf(recipient)
		if u, ok := s.aliasOwner(address); ok {
			address = strings.ToLower(u.Address)
		}
		if reached[address] || w.returnStatus(recipient) != "" || !s.mailboxExists(address) {
			continue
		}
		reached[address] = true
		if got := s.addReceived(s.mailbox(address), raw, noteClass); got != nil && w.CopyToJunk {
			s.move(got, JunkEmail)
		}
	}
}

// noteClass is the message class of an ordinary message (MS-OXOMSG).
const noteClass = "IPM.Note"

// wire returns an item as recipients get it: MIME as it was given, without its Bcc field, or
// MIME made of the item's properties: "Things to know about how Outlook sends mail". The caller
// holds s.mu.
func (s *Simulator) wire(i *item) []byte {
	w := s.world()
	raw := s.content.kept[mimeID(i)]
	if len(raw) == 0 {
		raw = s.compose(i)
	}
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	fields := fieldsOf(head)
	if !w.MIMEKeepsBcc {
		fields = without(fields, "Bcc")
	}
	if i.From != nil {
		fields = append(without(fields, "From"), "From: "+formatAddress(*i.From))
	}
	fields = append(without(fields, "Message-ID"), "Message-ID: "+i.InternetMessageID)
	for _, name := range w.CopyLoses {
		fields = without(fields, name)
	}
	if w.CopyTNEF {
		fields = append(without(without(fields, "Content-Type"), "Content-Transfer-Encoding"), "Content-Type: multipart/mixed; boundary=tnef_")
		body = []byte("--tnef_\r\nContent-Type: text/plain\r\n\r\n" + bodyPreview(i.Body) +
			"\r\n--tnef_\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Disposition: attachment; filename=winmail.dat\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\neJ8+Ig==\r\n--tnef_--\r\n")
	}
	if w.MIMELosesMethod {
		body = bytes.ReplaceAll(body, []byte("; method=REQUEST"), nil)
	}
	return append([]byte(strings.Join(fields, "\r\n")+"\r\n\r\n"), body...)
}

func mimeID(i *item) string {
	if i.MIME == nil {
		return ""
	}
	return i.MIME.ID
}

// fieldsOf returns the fields of a header, each with its folded lines.
func fieldsOf(head []byte) (fields []string) {
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n := len(fields); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			fields[n-1] += "\r\n" + line
		} else {
			fields = append(fields, line)
		}
	}
	return fields
}

// without returns the fields that do not have a name.
func without(fields []string, name string) (rest []string) {
	for _, f := range fields {
		if has, _, _ := strings.Cut(f, ":"); !strings.EqualFold(has, name) {
			rest = append(rest, f)
		}
	}
	return rest
}

func formatAddress(a Address) string {
	return (&mail.Address{Name: a.Name, Address: a.Address}).String()
}

// compose returns the MIME that transport makes of an item that was created from JSON: the text
// in both forms, then the files. The caller holds s.mu.
func (s *Simulator) compose(i *item) []byte {
	var b bytes.Buffer
	s.composeHeader(&b, i)
	b.WriteString("Content-Type: multipart/mixed; boundary=mixed_\r\n\r\n--mixed_\r\nContent-Type: multipart/alternative; boundary=forms_\r\n\r\n")
	writePart(&b, "forms_", "text/plain; charset=utf-8", "", []byte(bodyPreview(i.Body)))
	if i.Body.ContentType == "html" {
		writePart(&b, "forms_", "text/html; charset=utf-8", "", []byte(storedContent(i.Body)))
	}
	b.WriteString("--forms_--\r\n")
	for _, a := range i.Attachments {
		content := s.content.kept[a.ID]
		if b.Len()+len(content) > maxDelivered {
			content = nil
		}
		writePart(&b, "mixed_", a.ContentType, "Content-Disposition: attachment; filename="+mime.QEncoding.Encode("utf-8", a.Name)+"\r\n", content)
	}
	b.WriteString("--mixed_--\r\n")
	return b.Bytes()
}

func (s *Simulator) composeHeader(b *bytes.Buffer, i *item) {
	for _, f := range []struct {
		name string
		list []Address
	}{{"To", i.To}, {"Cc", i.Cc}, {"Reply-To", i.ReplyTo}} {
		var list []string
		for _, a := range f.list {
			list = append(list, formatAddress(a))
		}
		if len(list) > 0 {
			fmt.Fprintf(b, "%s: %s\r\n", f.name, strings.Join(list, ",\r\n "))
		}
	}
	fmt.Fprintf(b, "Subject: %s\r\nDate: %s\r\nMIME-Version: 1.0\r\n", mime.QEncoding.Encode("utf-8", i.Subject), i.Sent.UTC().Format(time.RFC1123Z))
	for _, f := range []struct{ property, name string }{{"String 0x1042", "In-Reply-To"}, {"String 0x1039", "References"}, {"String 0x1045", "List-Unsubscribe"}} {
		if v := i.property(f.property); v != "" {
			fmt.Fprintf(b, "%s: %s\r\n", f.name, oneField(v))
		}
	}
	for _, h := range i.Headers {
		fmt.Fprintf(b, "%s: %s\r\n", oneField(h.Name), oneField(h.Value))
	}
}

// oneField returns a value without line breaks.
func oneField(v string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(v) }

// writePart writes a part in base64, with more fields.
func writePart(b *bytes.Buffer, boundary, contentType, fields string, content []byte) {
	fmt.Fprintf(b, "--%s\r\nContent-Type: %s\r\n%sContent-Transfer-Encoding: base64\r\n\r\n", boundary, contentType, fields)
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
}
