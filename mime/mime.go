// Package mime describes a stored RFC 5322 message: its addresses, subject, one body,
// mapped headers, and attachments whose content is a stream that can be opened as often as
// needed.
//
// It reads whatever arrives: malformed input is salvaged and reported, never refused, and
// no attachment is dropped silently. Memory is bounded by Limits, not by the size of the
// message. The package knows nothing of SMTP, envelopes, queues or Graph.
package mime

import (
	"io"
	"strings"
	"time"
)

// Limits bounds the resources that one message takes. What exceeds a limit becomes one
// attachment, or is cut if it is a header field, and the Report has a note of it.
type Limits struct {
	Depth        int   // nesting of multiparts
	Parts        int   // parts of the message
	HeaderBytes  int   // bytes of one header block, top or part
	HeaderFields int   // fields of one header block
	ValueBytes   int   // bytes of a field value that are parsed
	BodyBytes    int64 // decoded bytes of the chosen body that are held in memory
}

// DefaultLimits returns the limits that apply without a configuration.
func DefaultLimits() Limits {
	return Limits{
		Depth:        100,
		Parts:        1000,
		HeaderBytes:  256 << 10,
		HeaderFields: 2000,
		ValueBytes:   64 << 10,
		BodyBytes:    3 << 20,
	}
}

// Memory returns how many bytes Parse takes at most for a message of size bytes, what the
// Message holds included. Texts are decoded and joined as a whole, so that there are several
// copies of them for a moment.
func (l Limits) Memory(size int64) int64 {
	const copies, window = 6, 512 << 10
	return copies*min(size, l.BodyBytes) + min(size, window)
}

// Address is one mailbox of an address field (RFC 5322 section 3.4): the decoded display
// name, and "local@domain" as written, with the local part quoted if necessary. Only From
// and Sender can hold an Address that is not Valid.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Valid reports whether the address has a domain. Some senders write From and Sender
// without one, as in "root (Cron Daemon)"; the name is still worth showing.
func (a Address) Valid() bool { return strings.Contains(a.Address, "@") }

// Field is one header field: the name as written and the unfolded, decoded value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Importance of a message, in the words of Graph.
type Importance string

// The values of Importance. A message that names none has ImportanceNormal.
const (
	ImportanceLow    Importance = "low"
	ImportanceNormal Importance = "normal"
	ImportanceHigh   Importance = "high"
)

// Kind is the kind of a message. Only one of KindOrdinary can be rebuilt from its
// description without being broken.
type Kind string

// The kinds of message.
const (
	KindOrdinary  Kind = "ordinary"
	KindSigned    Kind = "signed"    // multipart/signed
	KindEncrypted Kind = "encrypted" // PGP/MIME, application/pkcs7-mime
	KindCalendar  Kind = "calendar"  // text/calendar with a method
	KindReport    Kind = "report"    // multipart/report
)

// Message is the description of one message.
type Message struct {
	Fields    []Field // the top header, in order, decoded, within Limits
	HeaderCut bool    // the header exceeds Limits

	From    []Address
	Sender  *Address
	ReplyTo []Address
	To      []Address
	Cc      []Address
	Bcc     []Address

	Subject    string
	Date       time.Time // zero when missing or unreadable
	MessageID  string    // with its angle brackets; empty when missing
	InReplyTo  string    // "<a> <b>"
	References string    // "<a> <b>"

	Importance      Importance
	Sensitivity     string    // "", "personal", "private" or "company-confidential"
	ReadReceipt     []Address // Disposition-Notification-To
	DeliveryReceipt []Address // Return-Receipt-To
	ListUnsubscribe string

	Kind Kind

	// Body is the one body that is sent: HTML if there is any, else text. Text and HTML
	// hold both forms if the message has both, in UTF-8.
	Body Body
	Text string
	HTML string

	Attachments []*Attachment // in document order, inline ones included

	Report Report

	header *Header
}

// Body is a message's body in one form.
type Body struct {
	HTML    bool
	Content string // UTF-8
}

// Attachment is a file in the message. Its content is not held in memory.
type Attachment struct {
	Name        string // never empty; a base name without control characters
	ContentType string // "type/subtype" in lower case, never empty
	ContentID   string // without angle brackets; empty when missing
	Inline      bool   // true only if the HTML body refers to ContentID
	Size        int64  // decoded bytes

	open func() io.Reader
}

// Open returns a reader of the decoded content, which is Size bytes long. It may be called
// any number of times.
func (a *Attachment) Open() io.Reader { return a.open() }

// Report lists what was dropped, mapped or salvaged in the conversion, or exceeded a limit.
type Report struct {
	Notes []Note `json:"notes,omitempty"`
}

// Note is one finding of the conversion.
type Note struct {
	Kind   string `json:"kind"`             // "dropped", "mapped", "salvaged" or "limit"
	What   string `json:"what"`             // a header name, a part's path such as "1.2", or "message"
	Detail string `json:"detail,omitempty"` // why, for the operator; never message content
}
