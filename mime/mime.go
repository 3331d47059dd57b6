// Package mime turns a stored RFC 5322 message into one description: addresses,
// subject, one body, mapped headers, and attachments whose content is a stream
// that can be opened as often as needed.
//
// It promises to read whatever arrives: malformed input is salvaged and reported,
// never refused, and no attachment is dropped silently. Memory is bounded by
// Limits, not by the size of the message. It knows nothing of SMTP, of envelopes,
// of queues or of Graph.
package mime

import (
	"io"
	"strings"
	"time"
)

// Limits bounds what one message may cost. Past a limit the branch concerned
// becomes one attachment (or the field is cut) and the Report says so.
type Limits struct {
	Depth        int   // nesting of multiparts
	Parts        int   // parts in all
	HeaderBytes  int   // bytes of one header block, top or part
	HeaderFields int   // fields of one header block
	ValueBytes   int   // bytes of a field value that are parsed
	BodyBytes    int64 // decoded bytes of the chosen body that are held in memory
}

// DefaultLimits returns the limits used when a setting names no other.
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

// Address is one mailbox of an address field (RFC 5322 section 3.4): the display
// name, decoded, and "local@domain" as written, its local part quoted where it needs
// to be. Only From and Sender can hold an Address that is not Valid.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Valid tells whether the address has a domain. From and Sender of some senders have
// none: "root (Cron Daemon)". Their name is worth showing, with another address.
func (a Address) Valid() bool { return strings.Contains(a.Address, "@") }

// Field is one header field: the name as written and the unfolded, decoded value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Importance as Graph names it.
type Importance string

// The values of Importance; ImportanceNormal also stands for "not said".
const (
	ImportanceLow    Importance = "low"
	ImportanceNormal Importance = "normal"
	ImportanceHigh   Importance = "high"
)

// Kind says whether a message can be rebuilt from its description or would be
// broken by that (see Message.Kind).
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
	HeaderCut bool    // it has more than Limits allow

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

	// Body is the one body that a reader sees: HTML where there is any, else
	// text; UTF-8. Text and HTML keep both forms where the message had both.
	Body Body
	Text string
	HTML string

	Attachments []*Attachment // in document order, inline ones included

	Report Report
}

// Body is the chosen body.
type Body struct {
	HTML    bool
	Content string // UTF-8
}

// Attachment is one file of the message. Its content is not held in memory.
type Attachment struct {
	Name        string // never empty, a base name without controls
	ContentType string // "type/subtype" in lower case, never empty
	ContentID   string // without angle brackets; empty when missing
	Inline      bool   // true only if the HTML body refers to ContentID
	Size        int64  // decoded bytes

	open func() io.Reader
}

// Open returns the decoded content from its beginning. It reads exactly Size
// bytes and may be called any number of times.
func (a *Attachment) Open() io.Reader { return a.open() }

// Report says what of a message was kept, mapped, salvaged and dropped.
type Report struct {
	Notes []Note `json:"notes,omitempty"`
}

// Note is one finding of the conversion.
type Note struct {
	Kind   string `json:"kind"`             // "dropped", "mapped", "salvaged" or "limit"
	What   string `json:"what"`             // a header name, a part's path such as "1.2", or "message"
	Detail string `json:"detail,omitempty"` // why, for the operator; never message content
}
