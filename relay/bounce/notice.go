package bounce

import (
	"bytes"
	"cmp"
	"fmt"
	stdmime "mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// bounceField marks a notification of this relay; its value is the queue ID of the
// message that it is about.
const bounceField = "X-Graphrelay-Bounce"

// notice is a delivery status notification (RFC 3464). Text in it that comes from outside
// is made safe where it is written.
type notice struct {
	id         string // its own queue ID
	action     Action
	host       string // the relay's name
	from, to   string
	now        time.Time
	about      queue.Record
	recipients []string      // those of the message that it reports on
	reason     reason.Reason // empty if the message was sent
	gaveUp     time.Duration
	until      time.Time      // when the relay gives up, for a delayed message
	detail     string         // what went wrong, for an administrator
	diagnostic string         // Microsoft 365's answer
	returns    []queue.Return // of a message that came back, for each of recipients; else nil
	original   Original
	refused    map[string]string // Microsoft 365's answers, if the message was sent to the other recipients
}

// message returns the notification in its three parts (RFC 6522 section 3).
func (n *notice) message() []byte {
	returned, encoding := n.original.part()
	boundary := "=_graphrelay_" + n.id // the author of the original could not know it
	var b bytes.Buffer
	n.header(&b)
	fmt.Fprintf(&b, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n", boundary)
	if encoding != "7bit" {
		fmt.Fprintf(&b, "Content-Transfer-Encoding: %s\r\n", encoding)
	}
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	b.Write(quoted([]byte(strings.ReplaceAll(n.prose(), "\n", "\r\n"))))
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n", boundary)
	n.status(&b)
	if returned != nil {
		fmt.Fprintf(&b, "\r\n--%s\r\n%s", boundary, returned)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

// header writes the header. It marks the message as an automatic reply (RFC 3834 section
// 5), so that no program replies to it.
func (n *notice) header(b *bytes.Buffer) {
	field(b, "From", mime.FormatAddresses([]mime.Address{{Name: "Mail Delivery System", Address: n.from}}))
	field(b, "To", mime.FormatAddresses([]mime.Address{{Address: n.to}}))
	words := stdmime.QEncoding.Encode("utf-8", n.subject(n.original.subject))
	b.WriteString("Subject: " + strings.ReplaceAll(words, "?= =?", "?=\r\n =?") + "\r\n")
	field(b, "Date", n.now.Format(time.RFC1123Z))
	field(b, "Message-ID", n.messageID())
	if id := n.original.messageID; id != "" {
		field(b, "In-Reply-To", text.ASCII(id))
	}
	field(b, "Auto-Submitted", "auto-replied")
	field(b, bounceField, n.about.ID)
	field(b, "MIME-Version", "1.0")
}

func (n *notice) messageID() string { return "<" + n.id + "@" + n.host + ">" }

// subject returns the Subject, which quotes at most 200 bytes of the original's.
func (n *notice) subject(of string) string {
	title := map[Action]string{Failed: "Undelivered Mail", Delayed: "Delayed Mail", Relayed: "Relayed Mail"}[n.action]
	if of = text.Shorten(text.OneLine(of), 200); of != "" {
		title += ": " + of
	}
	return title
}

// status writes the part for programs (RFC 3464 section 2).
func (n *notice) status(b *bytes.Buffer) {
	field(b, "Reporting-MTA", "dns; "+text.ASCII(n.host))
	if id := n.about.Envelope.DSN.EnvelopeID; id != "" {
		field(b, "Original-Envelope-Id", text.ASCII(id))
	}
	field(b, "X-Graphrelay-Queue-ID", n.about.ID)
	field(b, "Arrival-Date", n.about.Received.Format(time.RFC1123Z))
	for i, r := range n.recipients {
		b.WriteString("\r\n")
		if o := n.about.Envelope.DSN.Recipients[r].Original; o != "" {
			kind, address, _ := strings.Cut(o, ";")
			field(b, "Original-Recipient", typed(kind, address))
		}
		field(b, "Final-Recipient", typed("rfc822", r))
		field(b, "Action", string(n.action))
		field(b, "Status", n.statusCode(i))
		if d := n.diagnosticCode(i); d != "" {
			field(b, "Diagnostic-Code", d)
		}
		field(b, "Last-Attempt-Date", n.now.Format(time.RFC1123Z))
		if n.action == Delayed {
			field(b, "Will-Retry-Until", n.until.Format(time.RFC1123Z))
		}
	}
}

// statusCode returns the status code for a recipient.
func (n *notice) statusCode(recipient int) string {
	switch {
	case n.returns != nil && n.returns[recipient].Code != "":
		return n.returns[recipient].Code
	case n.returns != nil:
		return "5.0.0"
	case n.action == Relayed:
		return "2.0.0"
	case n.action == Delayed:
		return "4." + AdviceFor(n.reason).Status
	case n.gaveUp > 0:
		return "5.4.7" // delivery time expired
	}
	return "5." + AdviceFor(n.reason).Status
}

// diagnosticCode returns the answer about a recipient with its type, or "".
func (n *notice) diagnosticCode(recipient int) string {
	kind, diagnostic := "x-graph; ", cmp.Or(n.refused[n.recipients[recipient]], n.diagnostic)
	if n.returns != nil {
		kind, diagnostic = "smtp; ", n.returns[recipient].Diagnostic
	}
	if diagnostic == "" {
		return ""
	}
	return kind + text.ASCII(diagnostic)
}

// typed returns an address with its type. Since the part is ASCII, other addresses are
// written in the form of RFC 6533 section 3.
func typed(kind, address string) string {
	address = text.OneLine(address)
	if text.IsASCII(address) && kind != "utf-8" {
		return text.ASCII(kind) + ";" + address
	}
	var b strings.Builder
	for _, r := range address {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`\+=`, r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%02X}`, r)
		}
	}
	return "utf-8;" + b.String()
}

// maxField keeps a line below the 998 characters of RFC 5322 section 2.1.1.
const maxField = 900

// field writes a header field as exactly one line, whatever the value contains.
func field(b *bytes.Buffer, name, value string) {
	fmt.Fprintf(b, "%s: %s\r\n", name, text.Shorten(text.OneLine(value), maxField))
}

func quoted(text []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(text) // into memory
	_ = w.Close()
	return b.Bytes()
}
