package bounce

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"graphrelay/mime"
)

// How much of a message a notification returns.
const (
	maxReturnedHeader = 64 << 10
	maxReturned       = 1 << 20 // with RET=FULL; it has to fit into one request as MIME
)

// Original is what a notification quotes of the message that it is about. The zero
// Original stands for a message that could not be read.
type Original struct {
	subject, date, messageID string
	report                   bool   // the message is itself a notification, of this relay or another system
	header                   []byte // without Bcc and Resent-Bcc
	body                     []byte // nil: the header alone is returned
}

// ReadOriginal reads the header of message, and if full also its body unless that is too
// large to be returned.
func ReadOriginal(message *io.SectionReader, lim mime.Limits, full bool) (Original, error) {
	head, offset, err := mime.EditHeader(message, message.Size(), lim, []mime.Field{{Name: "Bcc"}, {Name: "Resent-Bcc"}})
	if err != nil {
		return Original{}, err
	}
	h := mime.ReadHeader(head, lim)
	o := Original{subject: h.Subject(), date: h.Value("Date"), messageID: h.MessageID(), report: isReport(h), header: head}
	if !full || message.Size() > maxReturned {
		return o, nil
	}
	o.body = make([]byte, message.Size()-offset)
	_, err = io.ReadFull(io.NewSectionReader(message, offset, int64(len(o.body))), o.body)
	return o, err
}

// isReport reports whether the message is a notification, which must not be answered with
// a bounce even if it came with a sender.
func isReport(h *mime.Header) bool {
	kind := strings.ToLower(h.Value("Content-Type"))
	return h.Count(bounceField) > 0 ||
		strings.HasPrefix(kind, "multipart/report") && strings.Contains(kind, "delivery-status")
}

// part returns the third part of a notification (RFC 6522 section 3) with its own header,
// and the encoding that the parts around it must declare too.
func (o Original) part() (text []byte, encoding string) {
	switch {
	case o.header == nil:
		return nil, "7bit"
	case o.body == nil:
		return o.headerPart(), "7bit"
	}
	content := append(bytes.Clone(o.header), o.body...)
	encoding = encodingOf(content)
	return fmt.Appendf(nil, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: %s\r\n\r\n%s", encoding, content), encoding
}

func (o Original) headerPart() []byte {
	head := bytes.TrimSuffix(o.header, []byte("\r\n")) // the empty line
	if len(head) > maxReturnedHeader {
		head = head[:bytes.LastIndexByte(head[:maxReturnedHeader], '\n')+1]
	}
	encoding := "7bit"
	if encodingOf(head) != encoding {
		encoding, head = "quoted-printable", quoted(head)
	}
	return fmt.Appendf(nil, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: %s\r\n\r\n%s", encoding, head)
}

// encodingOf returns the plainest encoding that fits the content (RFC 2045 sections 2.7 to
// 2.9).
func encodingOf(content []byte) string {
	encoding := "7bit"
	for line := range bytes.SplitSeq(content, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
			return "binary"
		}
		if bytes.ContainsFunc(line, func(r rune) bool { return r >= 0x80 }) {
			encoding = "8bit"
		}
	}
	return encoding
}
