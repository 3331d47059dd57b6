package smtpd

import (
	"errors"
	"fmt"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/verdict"
)

// Refusal is a negative reply. Its Text says what the sender can do.
type Refusal struct {
	Code     int    // SMTP reply code, 4xx or 5xx
	Enhanced [3]int // RFC 3463
	Reason   reason.Reason
	Text     string
}

var errStopping = &Refusal{421, [3]int{4, 3, 2}, reason.Connections, "The relay is stopping; try again later"}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.Enhanced[0], r.Enhanced[1], r.Enhanced[2], r.Text)
}

// reply returns what the client is sent, or "" if the connection is closed without a reply.
func (r *Refusal) reply() string {
	if r.Code == 0 {
		return ""
	}
	return r.Error()
}

// unsaid returns the text of a refusal that the client is not sent.
func (r *Refusal) unsaid() string {
	if r.Code == 0 {
		return r.Text
	}
	return ""
}

// Refusals of a message, or of a response to an AUTH challenge.
var (
	errNoMail      = &Refusal{503, [3]int{5, 5, 1}, reason.Protocol, "Send MAIL FROM first"}
	errNoMemory    = &Refusal{452, [3]int{4, 3, 1}, reason.Limits, "Too many messages from your address have very long headers or very many recipients at a time; try again later"}
	errOutOfTurn   = &Refusal{503, [3]int{5, 5, 1}, reason.Aborted, "The message did not follow its command; send DATA, wait for the answer, then send the message"}
	errLineTooLong = &Refusal{554, [3]int{5, 6, 0}, reason.Content, "A line of the message is longer than this relay takes; have the sending program break its lines, or encode the content"}
	errInterrupted = &Refusal{451, [3]int{4, 4, 2}, reason.Aborted, "The connection broke, or was silent or too slow for too long, within the message; try again"}
	errUnfinished  = &Refusal{451, [3]int{4, 4, 2}, reason.Aborted, "The message was not finished"}
	errSASLSyntax  = &Refusal{501, [3]int{5, 5, 2}, reason.Auth, "The answer is not what the mechanism asks for, in base64; correct it, or use another mechanism"}
)

// tooLarge returns the refusal of a message that is larger than any connection takes.
func tooLarge(most int64) *Refusal {
	return &Refusal{552, [3]int{5, 3, 4}, reason.Size, "The message is larger than this relay takes, " + text.Size(most) + "; send smaller files, or a link to them"}
}

// refusalOf returns the refusal for an error. A fault of the relay is a 4xx.
func refusalOf(err error) *Refusal {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, queue.ErrNoSpace):
		return &Refusal{452, [3]int{4, 3, 1}, reason.Storage, "The relay's disk is full; try again later"}
	case errors.Is(err, queue.ErrDisk):
		return &Refusal{451, [3]int{4, 3, 0}, reason.Storage, "The relay's disk failed; try again later"}
	case errors.Is(err, queue.ErrResources):
		return &Refusal{451, [3]int{4, 3, 0}, reason.Storage, "The relay's system is short of file descriptors or memory; try again later"}
	case errors.Is(err, queue.ErrAway), errors.Is(err, queue.ErrUnknown):
		return &Refusal{451, [3]int{4, 3, 0}, reason.Storage, "The relay cannot reach its queue; try again later"}
	case errors.Is(err, queue.ErrFull):
		return &Refusal{452, [3]int{4, 3, 1}, reason.Full, "The relay's queue is full; try again later"}
	}
	return &Refusal{451, [3]int{4, 3, 0}, reason.Internal, "A fault in the relay; try again later"}
}

// verdictRefusal returns the refusal of a message that Graph has refused.
func verdictRefusal(id string, v verdict.Verdict) *Refusal {
	code := 550
	if v.Enhanced == [3]int{5, 3, 4} {
		code = 552
	}
	return &Refusal{code, v.Enhanced, reason.Graph, id + ": " + v.Text}
}

// maxPrintable is how many bytes of a client's text are repeated or logged.
const maxPrintable = 400

// printable makes text from outside safe for one line of a reply or of the log.
func printable(s string) string { return text.Shorten(text.Printable(s), maxPrintable) }
