package graphmail

import (
	"fmt"
	"io"
	"strings"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// convert returns the draft that Graph is given and its attachments. The report names what
// could not be carried.
func convert(m *mime.Message, rec queue.Record, cfg *Config) (*graph.Message, []graph.Attachment, []finding) {
	patterns := cfg.xHeaders()
	if cfg.Connections[rec.Lane.Connection].NoHeaders {
		patterns = nil
	}
	chosen, left := chooseHeaders(m.Fields, patterns)
	g := &graph.Message{
		Subject:                    m.Subject,
		Body:                       body(m.Body),
		From:                       from(m, rec),
		ReplyTo:                    recipients(m.ReplyTo),
		Importance:                 string(m.Importance),
		InternetMessageID:          messageID(rec, cfg.Host),
		InternetMessageHeaders:     chosen,
		IsReadReceiptRequested:     len(m.ReadReceipt) > 0,
		IsDeliveryReceiptRequested: len(m.DeliveryReceipt) > 0,
		Properties:                 properties(m, rec.ID),
	}
	if len(g.ReplyTo) == 0 && rec.ReplyTo != "" {
		g.ReplyTo = recipients([]mime.Address{{Address: rec.ReplyTo}})
	}
	var report []finding
	g.ToRecipients, g.CcRecipients, g.BccRecipients, report = deliverTo(m, rec.Envelope.To)
	report = append(report, notCarried(left)...)
	g.Sender = sender(m, rec, g.From)
	if m.Sender != nil && (g.Sender == nil || g.Sender.EmailAddress.Address != m.Sender.Address) && !mailaddr.Same(m.Sender.Address, g.From.EmailAddress.Address) {
		report = append(report, finding{LossSender, "dropped the sender " + m.Sender.Address + ": the client may not send from it"})
	}
	report = append(report, findings(m.Report)...)
	files := attachments(m)
	if extra := moveBody(g, m.Body.HTML); extra != nil {
		files = append([]graph.Attachment{*extra}, files...)
		report = append(report, finding{LossBody, "the text is too long for Graph and goes as the attachment " + extra.Name})
	}
	return g, files, report
}

func body(b mime.Body) graph.Body {
	kind := "text"
	if b.HTML {
		kind = "html"
	}
	return graph.Body{ContentType: kind, Content: b.Content}
}

// from returns the address to show in From: the one that a sender rule names, or else the
// message's own.
func from(m *mime.Message, rec queue.Record) *graph.Recipient {
	a := mime.Address{Address: rec.Envelope.From}
	if len(m.From) > 0 {
		a.Name = m.From[0].Name
		if m.From[0].Valid() {
			a.Address = m.From[0].Address
		}
	}
	if rec.From != "" && !mailaddr.Same(rec.From, a.Address) {
		a.Address = rec.From
	}
	r := recipient(a)
	return &r
}

// sender returns who sends on behalf of From: the address that a sender rule or the message
// names, if the client may use it. Whether Exchange accepts it shows when the draft is made
// or sent; see replaceDraft.
func sender(m *mime.Message, rec queue.Record, from *graph.Recipient) *graph.Recipient {
	if rec.Sender == "" || mailaddr.Same(rec.Sender, from.EmailAddress.Address) {
		return nil
	}
	r := recipient(mime.Address{Address: rec.Sender})
	if m.Sender != nil && m.Sender.Address == rec.Sender {
		r.EmailAddress.Name = m.Sender.Name
	}
	return &r
}

// messageID returns the message's own Message-ID, or one that is the same in every attempt.
func messageID(rec queue.Record, host string) string {
	if rec.MessageID != "" {
		return rec.MessageID
	}
	return "<" + rec.ID + "@" + host + ">"
}

// deliverTo returns the recipients, which are exactly those of the envelope. Those that To
// or Cc name are shown there and the others are Bcc. An address that only a header names is
// dropped: Graph cannot show it without delivering to it.
func deliverTo(m *mime.Message, envelope []string) (to, cc, bcc []graph.Recipient, report []finding) {
	open := make(map[string]bool, len(envelope))
	for _, a := range envelope {
		open[mailaddr.Canonical(a)] = true
	}
	shown := make(map[string]bool, len(envelope))
	take := func(list []mime.Address) (out []graph.Recipient) {
		for _, a := range list {
			key := mailaddr.Canonical(a.Address)
			switch {
			case open[key]:
				delete(open, key)
				shown[key] = true
				out = append(out, recipient(a))
			case !shown[key]:
				shown[key] = true
				report = append(report, droppedAddress(a.Address))
			}
		}
		return out
	}
	to, cc = take(m.To), take(m.Cc)
	for _, a := range envelope {
		if key := mailaddr.Canonical(a); open[key] {
			delete(open, key)
			bcc = append(bcc, recipient(mime.Address{Address: a}))
		}
	}
	return to, cc, bcc, report
}

func droppedAddress(a string) finding {
	return finding{LossAddress, "dropped the header recipient " + a + ": it is not in the envelope"}
}

func recipient(a mime.Address) graph.Recipient {
	return graph.Recipient{EmailAddress: graph.EmailAddress{Name: a.Name, Address: a.Address}}
}

func recipients(list []mime.Address) []graph.Recipient {
	var out []graph.Recipient
	for _, a := range list {
		out = append(out, recipient(a))
	}
	return out
}

// sensitivities are the values of PidTagSensitivity (MS-OXCMSG 2.2.1.13).
var sensitivities = map[string]string{"personal": "1", "private": "2", "company-confidential": "3"}

func properties(m *mime.Message, id string) []graph.Property {
	out := []graph.Property{{ID: graph.PropertyQueueID, Value: id}}
	add := func(property, value string) {
		if value != "" {
			out = append(out, graph.Property{ID: property, Value: value})
		}
	}
	add(graph.PropertyInReplyTo, m.InReplyTo)
	add(graph.PropertyReferences, m.References)
	add(graph.PropertySensitivity, sensitivities[m.Sensitivity])
	add(graph.PropertyUnsubscribe, m.ListUnsubscribe)
	add(graph.PropertyAutoReplies, suppressProperty(m))
	return out
}

// propertyNames returns the fields whose values the properties carry, without the queue ID.
func propertyNames(list []graph.Property) string {
	names := map[string]string{graph.PropertyInReplyTo: "In-Reply-To", graph.PropertyReferences: "References",
		graph.PropertySensitivity: "Sensitivity", graph.PropertyUnsubscribe: "List-Unsubscribe", graph.PropertyAutoReplies: suppressField}
	var carried []string
	for _, p := range list {
		if name := names[p.ID]; name != "" {
			carried = append(carried, name)
		}
	}
	return strings.Join(carried, ", ")
}

func attachments(m *mime.Message) []graph.Attachment {
	files := make([]graph.Attachment, 0, len(m.Attachments))
	for _, a := range m.Attachments {
		files = append(files, graph.Attachment{Name: a.Name, ContentType: a.ContentType, ContentID: a.ContentID,
			Inline: a.Inline, Size: a.Size, Open: a.Open})
	}
	return files
}

// moveBody makes an attachment of a body that does not fit into Graph's request, even if it
// only became too large as JSON.
func moveBody(g *graph.Message, html bool) *graph.Attachment {
	if g.Fits() {
		return nil
	}
	text := g.Body.Content
	f := &graph.Attachment{Name: "message.txt", ContentType: "text/plain", Size: int64(len(text)),
		Open: func() io.Reader { return strings.NewReader(text) }}
	if html {
		f.Name, f.ContentType = "message.html", "text/html"
	}
	g.Body = graph.Body{ContentType: "text", Content: fmt.Sprintf("The text of this message is attached as %s.", f.Name)}
	return f
}
