package graphmail

import (
	"bytes"
	"fmt"
	"io"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// PathDraft is the path that messages usually take.
const PathDraft = pathDraft

// The paths to Graph.
const (
	pathDraft    = "draft"    // JSON draft, attachments, send
	pathMIME     = "mime"     // draft of the message as it is, send
	pathSendMail = "sendmail" // one request, no draft
)

// plan is how one message goes.
type plan struct {
	path      string
	draft     *graph.Message     // draft, and sendmail without whole
	files     []graph.Attachment // of draft
	whole     *graph.MIME        // mime, and sendmail of what JSON would break
	messageID string
	report    []finding
	fixed     bool  // From cannot change without breaking a signature
	inOne     *plan // of draft: how the message goes if a large file cannot be attached; nil: it cannot
	stretch   bool  // MIME may be a little larger than is documented
}

// unsendable is the error for a message that no path can carry whole.
type unsendable string

func (u unsendable) Error() string { return string(u) }

// makePlan chooses the path: MIME for what JSON would break, sendMail where a draft is not
// allowed or no copy is wanted, otherwise a draft. What does not fit the first choice takes
// the next, unless that would break a signed or encrypted message.
func makePlan(m *mime.Message, s stored, rec queue.Record, cfg *Config) (*plan, error) {
	conn := cfg.Connections[rec.Lane.Connection]
	p := &plan{path: pathDraft, messageID: messageID(rec, cfg.Host)}
	if m.Kind != mime.KindOrdinary {
		err := p.asMIME(m, s, rec, cfg)
		if err == nil {
			if conn.SendOnly {
				p.path = pathSendMail
			}
			return p, nil
		}
		if breaksAsJSON(m.Kind) && !cfg.ConvertLargeSigned {
			return nil, unsendable(fmt.Sprintf("a %s message can only go as it is, and %v", m.Kind, err))
		}
		p.report = append(p.report, finding{LossForm, fmt.Sprintf("goes as a draft although it is %s: %v", m.Kind, err)})
	}
	var report []finding
	p.draft, p.files, report = convert(m, rec, cfg)
	p.report = append(p.report, report...)
	if !conn.SendOnly && !conn.DropCopies {
		return p, nil
	}
	fits := graph.Mail{Message: p.draft, Attachments: p.files}.Fits()
	if conn.SendOnly && !fits {
		return nil, unsendable("the connection may only send up to 4 MB in one request; grant its application Mail.ReadWrite for larger messages")
	}
	if fits {
		p.path = pathSendMail
	}
	return p, nil
}

// adapt changes the planned message, if it can, so that Graph may accept what it has just
// refused. It returns what the message loses by that, or nothing.
func (p *plan) adapt(refused error) (kind Loss, detail string) {
	switch {
	case p.draft == nil:
		return "", ""
	case graph.SendAsDenied(refused) && p.draft.Sender != nil: // From names the author
		dropped := p.draft.Sender.EmailAddress.Address
		p.draft.Sender = nil
		return LossSender, "dropped the sender " + dropped
	case graph.Invalid(refused):
		return p.cutSubject()
	}
	return "", ""
}

// cutSubject cuts a subject that is longer than Exchange promises to accept. One that it
// accepts all the same stays whole.
func (p *plan) cutSubject() (kind Loss, detail string) {
	subject := []rune(p.draft.Subject)
	if len(subject) <= graph.MaxSubject {
		return "", ""
	}
	p.draft.Subject = string(subject[:graph.MaxSubject])
	return LossSubject, fmt.Sprintf("cut after %d of %d characters", graph.MaxSubject, len(subject))
}

// breaksAsJSON reports whether the message means nothing once its parts are taken apart, as
// one that is signed or encrypted. An invitation or a report can still be read.
func breaksAsJSON(k mime.Kind) bool { return k == mime.KindSigned || k == mime.KindEncrypted }

// asMIME plans to send the stored message as it is, except that the recipients in its top
// header become the envelope's and that a sender rule is applied.
func (p *plan) asMIME(m *mime.Message, s stored, rec queue.Record, cfg *Config) error {
	set, report := p.header(m, rec)
	head, offset, err := mime.EditHeader(s.message, s.message.Size(), cfg.MIME, set)
	if err != nil {
		return err
	}
	head = append(s.trace, head...)
	rest := s.message.Size() - offset
	whole := graph.MIME{
		Size: int64(len(head)) + rest,
		Open: func() io.Reader {
			return io.MultiReader(bytes.NewReader(head), io.NewSectionReader(s.message, offset, rest))
		},
	}
	if !whole.Fits() && !(p.stretch && whole.MayFit()) {
		return fmt.Errorf("its %d bytes are more than Graph accepts as MIME in one request (4 MB in base64)", whole.Size)
	}
	p.path, p.whole, p.report = pathMIME, &whole, report
	return nil
}

// header returns the fields to replace. Resent fields would name recipients too, and
// Return-Path is for the last server to write (RFC 5321 section 4.4).
func (p *plan) header(m *mime.Message, rec queue.Record) (set []mime.Field, report []finding) {
	put := func(name string, value string) { set = append(set, mime.Field{Name: name, Value: value}) }
	to, cc, bcc, report := deliverTo(m, rec.Envelope.To)
	put("To", mime.FormatAddresses(addresses(to)))
	put("Cc", mime.FormatAddresses(addresses(cc)))
	put("Bcc", mime.FormatAddresses(addresses(bcc)))
	for _, name := range []string{"Return-Path", "Resent-To", "Resent-Cc", "Resent-Bcc"} {
		put(name, "")
	}
	f := from(m, rec)
	if !onlyAuthor(m, f.EmailAddress.Address) {
		put("From", mime.FormatAddresses(addresses([]graph.Recipient{*f})))
	}
	onBehalf := "" // if it names anyone else, Exchange refuses the send
	if mailaddr.Same(rec.Sender, rec.Lane.Mailbox) {
		onBehalf = mime.FormatAddresses([]mime.Address{{Address: rec.Sender}})
	}
	put("Sender", onBehalf)
	if m.Sender != nil && !mailaddr.Same(m.Sender.Address, f.EmailAddress.Address) {
		report = append(report, finding{LossSender, "dropped the sender " + m.Sender.Address})
	}
	if len(m.ReplyTo) == 0 && rec.ReplyTo != "" {
		put("Reply-To", mime.FormatAddresses([]mime.Address{{Address: rec.ReplyTo}}))
	}
	if m.MessageID == "" {
		put("Message-ID", p.messageID)
	}
	return set, report
}

// onlyAuthor reports whether From names exactly this address, whoever reads it: only that
// address was authorized, and which of several addresses Exchange would show is not known.
func onlyAuthor(m *mime.Message, address string) bool {
	return m.OneFrom() && m.From[0].Address == address
}

func addresses(list []graph.Recipient) []mime.Address {
	out := make([]mime.Address, len(list))
	for i, r := range list {
		out[i] = mime.Address{Name: r.EmailAddress.Name, Address: r.EmailAddress.Address}
	}
	return out
}
