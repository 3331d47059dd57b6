package access

import (
	"fmt"
	"io"

	"graphrelay/graph"
	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/connection"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// Inspect implements smtpd.Policy. It refuses a file that is too large for a connection without
// upload sessions, of which its sender would only be told by a bounce. What cannot be read
// is left to delivery.
func (p *Policy) Inspect(e *queue.Entry, size int64, view func(func(io.ReaderAt) error) error) error {
	if !p.noUploads[e.Lane.Connection] || size < graph.MaxPostAttachment {
		return nil
	}
	return view(func(message io.ReaderAt) error {
		m, err := mime.Parse(io.NewSectionReader(message, e.Trace, size), size, p.MIME)
		if err != nil {
			return nil
		}
		name, bytes := p.LargeFile(m)
		if name == "" {
			return nil
		}
		return sizeRefusal("The file %s has %s, and files from %s must have less than 3 MB; send smaller files, or a link",
			text.Shorten(name, 100), text.Size(bytes), e.Lane.Mailbox)
	})
}

// checkSize refuses a message that is larger than its connection takes, or that no request of
// a connection without drafts can hold. What only parsing shows, as of a signed message, is
// left to delivery.
func (p *Policy) checkSize(lane queue.Lane, size int64) error {
	most := p.sizes[lane.Connection]
	switch {
	case p.sendOnly[lane.Connection] && size > connection.MaxSendOnly && most > connection.MaxSendOnly:
		return sizeRefusal("Messages from %s can have 4 MB at most; ask the administrator to grant Mail.ReadWrite for larger ones", lane.Mailbox)
	case size > most:
		return sizeRefusal("Messages from %s can have %s at most; send smaller files, or a link to them", lane.Mailbox, text.Size(most))
	}
	return nil
}

func sizeRefusal(format string, args ...any) *smtpd.Refusal {
	return &smtpd.Refusal{Code: 552, Enhanced: [3]int{5, 3, 4}, Reason: reason.Size, Text: fmt.Sprintf(format, args...)}
}
