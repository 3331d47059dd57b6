package mime

import (
	"io"
	"net/mail"
	"strings"
	"time"
)

// Parse parses the message of size bytes in r (RFC 5322, RFC 2045 to 2049, RFC 2231). It
// reads the message once to find its parts, and each attachment once more to measure it.
// Memory is bounded by lim and does not grow with size. Attachment.Open reads r again, which
// must stay readable as long as the attachments are used.
//
// Parse returns an error only if r does. Malformed parts are read as far as possible, and
// noted in Message.Report.
func Parse(r io.ReaderAt, size int64, lim Limits) (*Message, error) {
	w := &walker{reporter: &reporter{}, src: newSource(r, max(0, size)), lim: lim}
	w.walk()
	w.src.close()
	if w.src.err != nil {
		return nil, w.src.err
	}
	m := &Message{}
	m.describe(w.header, w.reporter)
	m.Kind = kindOf(w.root)
	b := &builder{reporter: w.reporter, r: r, lim: lim, msg: m}
	if err := b.build(w.root); err != nil {
		return nil, err
	}
	m.Report.Notes = w.notes
	return m, nil
}

// describe sets what the top header gives.
func (m *Message) describe(h *Header, rep *reporter) {
	m.Fields = h.Fields()
	m.From = h.From()
	m.header = h
	m.Sender = h.Sender()
	m.describeLists(h, rep)
	m.Subject = h.Subject()
	m.Date = parseDate(h.Value("Date"))
	m.MessageID = h.MessageID()
	m.InReplyTo = joinIDs(h.raw("In-Reply-To"))
	m.References = joinIDs(h.raw("References"))
	m.Importance = importanceOf(h)
	m.Sensitivity = sensitivityOf(h)
	m.ListUnsubscribe = h.Value("List-Unsubscribe")
	m.HeaderCut = h.cut
	if h.cut {
		rep.limit("header", "header too large, fields left out or cut")
	}
	for _, name := range []string{"Subject", "From"} {
		if h.Count(name) > 1 {
			rep.dropped(name, "field comes more than once, the first one counts")
		}
	}
}

// OneFrom reports whether From is one well-formed field, in which a strict reader finds the
// one mailbox of Message.From too. Where a comment or a quoted string has no end, for
// example, readers disagree.
func (m *Message) OneFrom() bool {
	if m.header == nil { // not from Parse
		return false
	}
	values := m.header.raw("From")
	if m.HeaderCut || len(values) != 1 || len(m.From) != 1 || m.header.hasRaw("From") {
		return false
	}
	strict, err := mail.ParseAddressList(values[0])
	return err == nil && len(strict) == 1 && strict[0].Address == m.From[0].Address && !strings.ContainsAny(values[0], "\r\n\x00")
}

func (m *Message) describeLists(h *Header, rep *reporter) {
	for _, l := range []struct {
		name string
		list *[]Address
	}{
		{"Reply-To", &m.ReplyTo}, {"To", &m.To}, {"Cc", &m.Cc}, {"Bcc", &m.Bcc},
		{"Disposition-Notification-To", &m.ReadReceipt}, {"Return-Receipt-To", &m.DeliveryReceipt},
	} {
		list, bad := h.addresses(l.name)
		*l.list = list
		if bad > 0 {
			rep.dropped(l.name, "entries that are no addresses left out")
		}
	}
}

// joinIDs returns the message IDs of all values, separated by spaces.
func joinIDs(values []string) string {
	var ids []string
	for _, v := range values {
		ids = append(ids, scanIDs(v)...)
	}
	return strings.Join(ids, " ")
}

// usualDate is the layout of nearly all dates. mail.ParseDate tries others first.
const usualDate = "Mon, 2 Jan 2006 15:04:05 -0700"

// parseDate parses a date of RFC 5322 section 3.3, or one of the other forms that are in
// use. It returns the zero time for anything else.
func parseDate(v string) time.Time {
	v = strings.TrimSpace(stripComments(v))
	if v == "" || len(v) > 100 {
		return time.Time{}
	}
	if t, err := time.Parse(usualDate, v); err == nil {
		return t
	}
	if t, err := mail.ParseDate(v); err == nil {
		return t
	}
	for _, layout := range []string{time.RFC3339, time.ANSIC, time.UnixDate, time.RFC850,
		"Mon, 2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05", "Mon, 2 Jan 2006 15:04 -0700",
		"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t
		}
	}
	return time.Time{}
}

// importanceOf returns the importance from the first field that has a known value:
// Importance (RFC 2156), X-Priority, X-MSMail-Priority or Priority.
func importanceOf(h *Header) Importance {
	for _, name := range []string{"Importance", "X-Priority", "X-MSMail-Priority", "Priority"} {
		word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(stripComments(h.Value(name)))), " ")
		switch word {
		case "high", "urgent", "1", "2", "highest":
			return ImportanceHigh
		case "low", "non-urgent", "4", "5", "lowest":
			return ImportanceLow
		case "normal", "3", "medium":
			return ImportanceNormal
		}
	}
	return ImportanceNormal
}

// sensitivityOf returns the value of Sensitivity (RFC 2156 section 5.3.4) in the words of
// Graph, or "".
func sensitivityOf(h *Header) string {
	v := strings.ToLower(strings.TrimSpace(stripComments(h.Value("Sensitivity"))))
	switch v = strings.ReplaceAll(v, " ", "-"); v {
	case "personal", "private", "company-confidential":
		return v
	case "confidential":
		return "company-confidential"
	}
	return ""
}

// kindOf returns the kind of a message from its outermost part and, for an invitation, from
// all of its parts.
func kindOf(root *part) Kind {
	switch t := root.mediaType; {
	case t == "multipart/signed":
		return KindSigned
	case t == "multipart/encrypted":
		return KindEncrypted
	case t == "application/pkcs7-mime", t == "application/x-pkcs7-mime":
		if root.smimeType == "signed-data" {
			return KindSigned
		}
		return KindEncrypted
	case t == "application/octet-stream" && strings.HasSuffix(strings.ToLower(root.name), ".p7m"):
		return KindEncrypted // with the type changed by a gateway (RFC 8551 section 3.10)
	case t == "multipart/report":
		return KindReport
	}
	if hasInvitation(root) {
		return KindCalendar
	}
	return KindOrdinary
}

// hasInvitation reports whether p has a text/calendar part with a method (RFC 6047 section
// 2.4) that is not marked as an attached file.
func hasInvitation(p *part) bool {
	if p.mediaType == "text/calendar" && p.method != "" && !p.attachment {
		return true
	}
	for _, c := range p.children {
		if hasInvitation(c) {
			return true
		}
	}
	return false
}
