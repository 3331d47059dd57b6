package simulator

import (
	"bytes"
	"slices"
	"strings"
)

// maxDelivered is the size in bytes up to which a copy has the content of its files.
const maxDelivered = 8 << 20

// deliver brings a sent item to each of its recipients but those in World.Returns. With
// Options.Deliver, it is put into the Inbox of those who have a mailbox in the tenant, where
// clients find it too. The others have it on their page. The caller holds s.mu.
func (s *Simulator) deliver(i *item) {
	w := s.world()
	var raw []byte
	var reached, shown []string
	for _, recipient := range i.Recipients() {
		address := s.addressOf(recipient)
		if u, ok := s.aliasOwner(address); ok {
			address = strings.ToLower(u.Address)
		}
		if slices.Contains(reached, address) || w.returnStatus(recipient) != "" {
			continue
		}
		reached = append(reached, address)
		if !s.options.Deliver || !s.mailboxExists(address) {
			shown = append(shown, address)
			continue
		}
		if raw == nil {
			raw = s.wire(i)
		}
		if got := s.addReceived(s.mailbox(address), raw, noteClass); got != nil && w.CopyToJunk {
			s.move(got, JunkEmail)
		}
	}
	s.arrive(i, shown)
}

// noteClass is the message class of an ordinary message (MS-OXOMSG).
const noteClass = "IPM.Note"

// wire returns an item as recipients get it, with what the world makes of it. The caller holds
// s.mu.
func (s *Simulator) wire(i *item) []byte {
	w := s.world()
	m := s.sentSource(i)
	room := maxDelivered
	for n := range m.files {
		if room -= len(m.files[n].content); room < 0 {
			m.files[n].content = nil
		}
	}
	if w.CopyTNEF {
		m.fields = append(without(without(m.fields, "Content-Type"), "Content-Transfer-Encoding"), "Content-Type: multipart/mixed; boundary=tnef_")
		m.raw = []byte("--tnef_\r\nContent-Type: text/plain\r\n\r\n" + bodyPreview(i.Body) +
			"\r\n--tnef_\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Disposition: attachment; filename=winmail.dat\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\neJ8+Ig==\r\n--tnef_--\r\n")
	}
	if w.MIMELosesMethod {
		m.raw = bytes.ReplaceAll(m.raw, []byte("; method=REQUEST"), nil)
	}
	var b bytes.Buffer
	_ = m.writeTo(&b) // to memory
	return b.Bytes()
}
