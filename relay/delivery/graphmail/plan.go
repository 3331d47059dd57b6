package graphmail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
	kind      mime.Kind
	full      *graph.Message     // of draft, and of sendmail without whole: all that there is
	draft     *graph.Message     // the same without what is omitted
	omitted   []omission         // see omit
	own       bool               // From is the mailbox's own address
	suppress  *graph.Header      // instead of its property, if that is left out; may be nil
	files     []graph.Attachment // of draft
	whole     *graph.MIME        // mime, and sendmail of what JSON would break
	head      int64              // bytes of whole that are in memory
	text      int64              // bytes of the text, which is in full or among files
	bcc       []string           // of whole: recipients that only its Bcc field names
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
//
// rec's envelope has the recipients that get the message; before says what Graph has refused
// of it.
func makePlan(m *mime.Message, s stored, rec queue.Record, cfg *Config, before progress) (*plan, error) {
	conn := cfg.Connections[rec.Lane.Connection]
	p := &plan{path: pathDraft, kind: m.Kind, messageID: messageID(rec, cfg.Host)}
	if m.Kind != mime.KindOrdinary {
		err := errMIMERefused
		if !before.AsDraft {
			err = p.asMIME(m, s, rec, cfg)
		}
		if err == nil {
			p.forgetRefused(before)
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
	p.full, p.files, report = convert(m, rec, cfg)
	p.text = int64(len(m.Body.Content))
	p.draft, p.suppress = p.full, suppressHeader(m, cfg.XHeaders)
	p.report = append(p.report, report...)
	p.forgetRefused(before)
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

// forgetRefused removes from the report that recipients in the header are not shown which
// Graph has refused: that is reported otherwise.
func (p *plan) forgetRefused(before progress) {
	p.report = slices.DeleteFunc(p.report, func(f finding) bool {
		return slices.ContainsFunc(before.Refused, func(r refusedRecipient) bool { return strings.EqualFold(f.detail, droppedAddress(r.Address).detail) })
	})
}

var errMIMERefused = errors.New("it cannot go as MIME")

// breaksAsJSON reports whether the message means nothing once its parts are taken apart, as
// one that is signed or encrypted. An invitation or a report can still be read.
func breaksAsJSON(k mime.Kind) bool { return k == mime.KindSigned || k == mime.KindEncrypted }

// asMIME plans to send the stored message as it is, except that the recipients in its top
// header become the envelope's and that a sender rule is applied.
func (p *plan) asMIME(m *mime.Message, s stored, rec queue.Record, cfg *Config) error {
	set, report := p.header(m, rec)
	if field, ok := cfg.redirectedField(m); ok {
		set = append(set, field)
	}
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
	p.path, p.whole, p.head, p.report = pathMIME, &whole, int64(len(head)), report
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
	p.bcc = addressesOf(bcc)
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
