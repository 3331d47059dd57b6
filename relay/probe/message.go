package probe

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
)

// part is something of a draft that a tenant may refuse or lose, with the name that the facts
// and the simulator have for it.
type part struct {
	name string
	what string // for people
	set  func(*graph.Message)
	key  string // the configuration that leaves it out, or what follows
}

// The names of recipients and authors in what the probe sends.
const (
	authorName    = "graphrelay probe"
	recipientName = "graphrelay probe recipient"
)

// parentID is the Message-ID that the probe's messages answer.
const parentID = "<graphrelay-probe-parent@graphrelay.invalid>"

// headerNames are the X- fields of step 4, of which each new name takes a named property of the
// mailbox for ever. They are the same in each run.
var headerNames = []string{"X-Graphrelay-Probe", "X-Graphrelay-Probe-2", "X-Graphrelay-Probe-3", "X-Graphrelay-Probe-4", "X-Graphrelay-Probe-5"}

// parts returns what step 4 sets beside the basic properties.
func (p *Probe) parts() []part {
	property := func(id, value string) func(*graph.Message) {
		return func(m *graph.Message) { m.Properties = append(m.Properties, graph.Property{ID: id, Value: value}) }
	}
	return []part{
		{graph.PropertyQueueID, "the queue ID as an extended property", property(graph.PropertyQueueID, p.marker),
			"lost answers are looked up by Message-ID only; see delivery.on_unknown"},
		{"internetMessageId", "internetMessageId", func(m *graph.Message) { m.InternetMessageID = p.newMessageID(40) },
			"recipients see another Message-ID than the client's; no setting changes that"},
		{"internetMessageHeaders", "five X- fields", func(m *graph.Message) {
			for _, name := range headerNames {
				m.InternetMessageHeaders = append(m.InternetMessageHeaders, graph.Header{Name: name, Value: p.marker})
			}
		}, "set delivery.x_headers: []"},
		{"from", "from", func(m *graph.Message) { m.From = recipient(authorName, p.o.Mailbox) },
			"mail goes out under the mailbox's own address"},
		{graph.PropertyInReplyTo, "In-Reply-To", property(graph.PropertyInReplyTo, parentID), "conversations are shown apart"},
		{graph.PropertyReferences, "References", property(graph.PropertyReferences, parentID), "conversations are shown apart"},
		{graph.PropertySensitivity, "the sensitivity", property(graph.PropertySensitivity, "2"), "the sensitivity of mail is lost"},
		{graph.PropertyUnsubscribe, "List-Unsubscribe", property(graph.PropertyUnsubscribe, "<mailto:probe@graphrelay.invalid>"), "List-Unsubscribe is lost"},
		{graph.PropertyAutoReplies, "the suppression of automatic replies", property(graph.PropertyAutoReplies, "48"), // out of office and rules: no answers to the probe
			"automatic replies may come; delivery.x_headers can carry X-Auto-Response-Suppress"},
	}
}

func recipient(name, address string) *graph.Recipient {
	return &graph.Recipient{EmailAddress: graph.EmailAddress{Name: name, Address: address}}
}

// newMessageID returns a Message-ID of this length with the mark, and a number that no other
// has.
func (p *Probe) newMessageID(length int) string {
	const domain = "@x.invalid>"
	p.ids++
	id := fmt.Sprintf("<%d.%s", p.ids, p.marker)
	if room := length - len(domain); room > len(id) {
		id += strings.Repeat("x", room-len(id))
	} else {
		id = id[:room]
	}
	return id + domain
}

// newMessage returns a message to the recipient of the mail.
func (p *Probe) newMessage(subject string) *graph.Message {
	return &graph.Message{Subject: subject,
		Body:         graph.Body{ContentType: "html", Content: "<html><body><p>" + bodyText + "</p></body></html>"},
		ToRecipients: []graph.Recipient{*recipient(recipientName, p.o.To)},
		Properties:   []graph.Property{}}
}

// bodyText is in the body of each message.
const bodyText = "This message was sent by graphrelay probe, which removes it again."

// marked returns a message with the mark in the queue's property, where that is accepted.
func (p *Probe) marked(subject string) *graph.Message {
	m := p.newMessage(subject)
	if !slices.Contains(p.refused, graph.PropertyQueueID) {
		m.Properties = append(m.Properties, graph.Property{ID: graph.PropertyQueueID, Value: p.marker + " " + subject[strings.LastIndexByte(subject, ' ')+1:]})
	}
	return m
}

// create creates a draft and returns its id.
func (p *Probe) create(ctx context.Context, m any, subject string) (string, answer) {
	a := p.post(ctx, "create", "/messages", m)
	return p.createdID(a, subject)
}

// createdID returns the id in the answer to a create.
func (p *Probe) createdID(a answer, subject string) (string, answer) {
	var i item
	if a.err == nil && (!a.decode(&i) || i.ID == "") {
		a.err = fmt.Errorf("%d, but its answer has no id", a.Status)
	}
	p.noteDraft(a, subject, i.ID)
	return i.ID, a
}

// ready creates a draft with the mark and waits until it can be found. ok is false, and the
// result says why, if that fails.
func (p *Probe) ready(ctx context.Context, r *Result, label string, change func(*graph.Message)) (id string, ok bool) {
	m := p.marked(p.subject(label))
	if change != nil {
		change(m)
	}
	id, a := p.create(ctx, m, m.Subject)
	if !a.is(http.StatusCreated) || a.err != nil {
		r.by(a)
		r.saw("a draft for it: %s", a)
		r.fault(p.remedy(a.err))
		return "", false
	}
	p.appears(ctx, id)
	return id, true
}

// appears waits until an item can be found.
func (p *Probe) appears(ctx context.Context, id string) (a answer, after time.Duration, ok bool) {
	after, ok = p.until(ctx, p.w.Appear, func() bool {
		a = p.get(ctx, itemPath(id), url.Values{"$select": {"id,isDraft"}})
		return a.err == nil || !graph.NotFound(a.err)
	})
	return a, after, ok && a.err == nil
}

// expand returns an $expand for extended properties.
func expand(ids ...string) string {
	var conditions []string
	for _, id := range ids {
		conditions = append(conditions, "id eq '"+id+"'")
	}
	return "singleValueExtendedProperties($filter=" + strings.Join(conditions, " or ") + ")"
}

// value returns the value of an extended property in a list, and whether it is there. Graph
// writes tags without leading zeros.
func value(list []graph.Property, id string) (string, bool) {
	i := slices.IndexFunc(list, func(p graph.Property) bool { return strings.EqualFold(tag(p.ID), tag(id)) })
	if i < 0 {
		return "", false
	}
	return list[i].Value, true
}

func tag(id string) string {
	kind, number, found := strings.Cut(id, " 0x")
	if !found {
		return id
	}
	return kind + " 0x" + strings.TrimLeft(number, "0")
}

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
