package alert

import (
	"bytes"
	"fmt"
	stdmime "mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// alertField marks mail of this package; its value is the reference.
const alertField = "X-Graphrelay-Alert"

// submission returns the mail that tells a notice. It comes from the null sender and wants no
// bounce, so that nothing is sent because of it, whatever becomes of it.
func submission(n notice, c Channel, lane queue.Lane, id string) *queue.Submission {
	dsn := map[string]queue.RecipientDSN{}
	utf8 := false
	for _, to := range c.To {
		dsn[to] = queue.RecipientDSN{Notify: []string{queue.NotifyNever}}
		utf8 = utf8 || !text.IsASCII(to)
	}
	return &queue.Submission{
		ID: id, Body: n.mail(c.To, lane.Mailbox),
		Entry: queue.Entry{
			Envelope: queue.Envelope{To: c.To, UTF8: utf8, DSN: queue.DSN{Recipients: dsn}},
			Lane:     lane, From: lane.Mailbox, Subject: n.subject(), MessageID: n.messageID(n.Event),
		},
		Events: []queue.Event{{At: n.At, What: "alert", Detail: n.key() + " to the channel " + c.Name}},
	}
}

func (n *notice) subject() string {
	return text.Shorten(text.OneLine(fmt.Sprintf("[%s] %s (%s)", n.Host, n.headline(), n.Ref)), 200)
}

func (n *notice) messageID(event string) string {
	return "<" + strings.ToLower(n.Ref) + "." + event + ".alert@" + n.Host + ">"
}

// mail returns the message. It is marked as automatic (RFC 3834 section 5), so that no program
// replies to it.
func (n *notice) mail(to []string, from string) []byte {
	var b bytes.Buffer
	var addresses []mime.Address
	for _, a := range to {
		addresses = append(addresses, mime.Address{Address: a})
	}
	header(&b, "From", mime.FormatAddresses([]mime.Address{{Name: "Mail relay " + n.Host, Address: from}}))
	header(&b, "To", strings.ReplaceAll(mime.FormatAddresses(addresses), ", ", ",\r\n "))
	header(&b, "Subject", strings.ReplaceAll(stdmime.QEncoding.Encode("utf-8", n.subject()), "?= =?", "?=\r\n =?"))
	header(&b, "Date", n.At.Format(time.RFC1123Z))
	header(&b, "Message-ID", n.messageID(n.Event))
	if n.Event == eventClosed {
		header(&b, "In-Reply-To", n.messageID(eventOpened))
	}
	if n.Critical && n.Event != eventClosed {
		header(&b, "Importance", "high")
	}
	header(&b, "Auto-Submitted", "auto-generated")
	header(&b, alertField, n.key())
	header(&b, "MIME-Version", "1.0")
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(n.plain(), "\n", "\r\n"))) // into memory
	_ = w.Close()
	return b.Bytes()
}

// header writes a field. What it consists of has no line ends, but those of folding.
func header(b *bytes.Buffer, name, value string) { fmt.Fprintf(b, "%s: %s\r\n", name, value) }

// plain returns the text for people.
func (n *notice) plain() string {
	var b strings.Builder
	b.WriteString(text.OneLine(n.headline()) + "\n")
	if len(n.Fields) > 0 {
		b.WriteString("\n")
	}
	for _, f := range n.Fields {
		fmt.Fprintf(&b, "%-13s %s\n", f.Name+":", text.OneLine(f.Value))
	}
	if len(n.Lines) > 0 {
		b.WriteString("\n")
	}
	for _, l := range n.Lines {
		b.WriteString(text.OneLine(l) + "\n")
	}
	if n.Event == eventOpened {
		b.WriteString("\nYou hear of this again when it is over. graphrelay alerts lists what is open.\n")
	}
	return b.String()
}
