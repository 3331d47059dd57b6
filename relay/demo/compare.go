package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"graphrelay/graph/simulator"
	"graphrelay/internal/look"
	"graphrelay/internal/text"
)

// result prints the message in the mailbox, and reports whether it is what was sent.
func (d demo) result(s sample, m simulator.Message) bool {
	d.printf("   %s, %s: %q to %s\n", m.Mailbox, m.Folder, m.Subject, strings.Join(m.Recipients(), ", "))
	d.files(m)
	faults := s.compare(m)
	for _, f := range faults {
		d.printf("   WRONG: %s\n", f)
	}
	if len(faults) == 0 {
		d.printf("   arrived whole\n")
	}
	return len(faults) == 0
}

// files prints the files of a message.
func (d demo) files(m simulator.Message) {
	for _, a := range m.Attachments {
		kind := "attachment"
		if a.IsInline {
			kind = "inline image"
		}
		d.printf("     %s %s, %s, %s, sha256 %.12s\n", kind, text.Printable(a.Name), text.Printable(a.ContentType), look.Bytes(a.Size), a.SHA256)
	}
}

// compare returns what differs from what was sent.
func (s sample) compare(m simulator.Message) (faults []string) {
	check := func(ok bool, what string) {
		if !ok {
			faults = append(faults, what)
		}
	}
	check(m.Subject == s.subject, "the subject")
	check(strings.TrimSpace(m.Body.Content) == s.text, "the body")
	check((m.Body.ContentType == "html") == s.html(), "the body's type")
	check(slices.Equal(m.Recipients(), s.to), "the recipients")
	check(m.From != nil && m.From.Address == sender, "the sender")
	if len(m.Attachments) != len(s.files) {
		return append(faults, "the number of attachments")
	}
	for i, f := range s.files {
		a := m.Attachments[i]
		sum := sha256.Sum256(f.content)
		check(a.Name == f.name, "the name of "+f.name)
		check(a.SHA256 == hex.EncodeToString(sum[:]), "the content of "+f.name)
		check(a.IsInline == (f.cid != "") && a.ContentID == f.cid, "the content id of "+f.name)
	}
	return faults
}
