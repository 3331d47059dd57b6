package graphmail

import (
	"fmt"
	"io"
	"strings"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// convert makes the draft that Graph is given from the description and the
// envelope. notes name what could not be carried.
func convert(m *mime.Message, rec queue.Record, cfg *Config) (*graph.Message, []graph.Attachment, []string) {
	chosen, left := chooseHeaders(m.Fields, cfg.XHeaders)
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
	var notes []string
	g.ToRecipients, g.CcRecipients, g.BccRecipients, notes = deliverTo(m, rec.Envelope.To)
	if len(left) > 0 {
		notes = append(notes, "not carried: "+strings.Join(left, ", "))
	}
	g.Sender = sender(m, rec, g.From)
	if m.Sender != nil && (g.Sender == nil || g.Sender.EmailAddress.Address != m.Sender.Address) && !strings.EqualFold(m.Sender.Address, g.From.EmailAddress.Address) {
		notes = append(notes, "dropped the sender "+m.Sender.Address+": the client may not send from it")
	}
	for _, n := range m.Report.Notes {
		notes = append(notes, strings.TrimSuffix(n.Kind+" "+n.What+": "+n.Detail, ": "))
	}
	files := attachments(m)
	if extra := moveBody(g, m.Body.HTML); extra != nil {
		files = append([]graph.Attachment{*extra}, files...)
		notes = append(notes, "the text is too long for Graph and goes as the attachment "+extra.Name)
	}
	return g, files, notes
}

func body(b mime.Body) graph.Body {
	kind := "text"
	if b.HTML {
		kind = "html"
	}
	return graph.Body{ContentType: kind, Content: b.Content}
}

// from shows the address that a sender rule names, else the message's own.
func from(m *mime.Message, rec queue.Record) *graph.Recipient {
	a := mime.Address{Address: rec.Envelope.From}
	if len(m.From) > 0 {
		a.Name = m.From[0].Name
		if m.From[0].Valid() {
			a.Address = m.From[0].Address
		}
	}
	if rec.From != "" && !strings.EqualFold(rec.From, a.Address) {
		a.Address = rec.From
	}
	r := recipient(a)
	return &r
}

// sender is who wrote in From's name, as a sender rule or the message says, if the client
// may use that address. Whether
// Exchange lets it stand there shows when the message is made or sent; see
// withoutSender.
func sender(m *mime.Message, rec queue.Record, from *graph.Recipient) *graph.Recipient {
	if rec.Sender == "" || strings.EqualFold(rec.Sender, from.EmailAddress.Address) {
		return nil
	}
	r := recipient(mime.Address{Address: rec.Sender})
	if m.Sender != nil && m.Sender.Address == rec.Sender {
		r.EmailAddress.Name = m.Sender.Name
	}
	return &r
}

// messageID is the message's own, or one that is the same in every try.
func messageID(rec queue.Record, host string) string {
	if rec.MessageID != "" {
		return rec.MessageID
	}
	return "<" + rec.ID + "@" + host + ">"
}

// deliverTo obeys the envelope: exactly its recipients get the mail. Those that
// To or Cc name are shown there, the others are Bcc, and an address that only a
// header names gets nothing: Graph has no way to show it without delivering.
func deliverTo(m *mime.Message, envelope []string) (to, cc, bcc []graph.Recipient, notes []string) {
	open := make(map[string]bool, len(envelope))
	for _, a := range envelope {
		open[strings.ToLower(a)] = true
	}
	shown := make(map[string]bool, len(envelope))
	take := func(list []mime.Address) (out []graph.Recipient) {
		for _, a := range list {
			key := strings.ToLower(a.Address)
			switch {
			case open[key]:
				delete(open, key)
				shown[key] = true
				out = append(out, recipient(a))
			case !shown[key]:
				shown[key] = true
				notes = append(notes, "dropped the header recipient "+a.Address+": it is not in the envelope")
			}
		}
		return out
	}
	to, cc = take(m.To), take(m.Cc)
	for _, a := range envelope {
		if key := strings.ToLower(a); open[key] {
			delete(open, key)
			bcc = append(bcc, recipient(mime.Address{Address: a}))
		}
	}
	return to, cc, bcc, notes
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
	return out
}

func attachments(m *mime.Message) []graph.Attachment {
	files := make([]graph.Attachment, 0, len(m.Attachments))
	for _, a := range m.Attachments {
		files = append(files, graph.Attachment{Name: a.Name, ContentType: a.ContentType, ContentID: a.ContentID,
			Inline: a.Inline, Size: a.Size, Open: a.Open})
	}
	return files
}

// moveBody makes a file of a body that would not fit Graph's request, even where
// it only grew too large as JSON.
func moveBody(g *graph.Message, html bool) *graph.Attachment {
	if g.Size() < graph.MaxRequestBytes {
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
