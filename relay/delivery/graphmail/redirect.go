package graphmail

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"

	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// redirectField is the field that names the recipients of the envelope of a redirected message.
const redirectField = "X-Graphrelay-Redirected"

// errRedirect is the error for a message whose delivery began under another redirect_all: a
// draft with the recipients of that time may exist, or may have been sent.
var errRedirect = errors.New("its delivery began before delivery.redirect_all was changed, so it could reach recipients that it should not; put the setting back and release the message, or delete it")

// redirects records the value of redirect_all for a delivery that begins now. It returns
// errRedirect for one that began under another value.
func (p *progress) redirects(to string) error {
	begun := p.DraftWanted || p.DraftID != "" || p.LateDraft || p.Send != sendNone
	switch {
	case p.Send == sendAccepted:
	case begun && p.Redirect != to:
		return errRedirect
	case !begun:
		p.Redirect = to
	}
	return nil
}

// recipients returns who gets a message of the envelope.
func (c *Config) recipients(to []string) []string {
	if c.RedirectAll != "" {
		return []string{c.RedirectAll}
	}
	return to
}

// noteRedirect addresses a message to redirect_all. It adds the recipients of the envelope as a
// note before the text and as a field; a message that goes as MIME gets the field alone.
func (c *Config) noteRedirect(m *mime.Message, e queue.Envelope) {
	if c.RedirectAll == "" {
		return
	}
	from := e.From
	if from == "" {
		from = "<>"
	}
	note := fmt.Sprintf("This message was redirected by graphrelay (delivery.redirect_all). It was from %s, for %s.", text.OneLine(from), text.OneLine(strings.Join(e.To, ", ")))
	if m.Body.HTML {
		m.Body.Content = intoBody(m.Body.Content, "<p><strong>"+html.EscapeString(note)+"</strong></p>\n")
	} else {
		m.Body.Content = note + "\r\n\r\n" + m.Body.Content
	}
	m.To, m.Cc = []mime.Address{{Address: c.RedirectAll}}, nil
	m.Fields = slices.Insert(slices.Clone(m.Fields), 0, mime.Field{Name: redirectField, Value: shortList(e.To, maxHeaderValue)})
}

var bodyTag = regexp.MustCompile(`(?i)<body(?:\s[^>]*)?>`)

// intoBody inserts HTML at the beginning of what a document shows.
func intoBody(document, insert string) string {
	at := 0
	if tag := bodyTag.FindStringIndex(document); tag != nil {
		at = tag[1]
	}
	return document[:at] + insert + document[at:]
}

// shortList joins as many addresses as fit into limit bytes, and says how many are left out.
func shortList(all []string, limit int) string {
	list := ""
	for i, a := range all {
		next := list
		if i > 0 {
			next += ", "
		}
		next += text.ASCII(text.OneLine(a))
		rest := fmt.Sprintf(" and %d more", len(all)-i)
		if len(next) > limit-len(rest) {
			return strings.TrimSpace(list + rest)
		}
		list = next
	}
	return list
}

// xHeaders returns the patterns of the X- fields to carry; of a redirected message its own field
// comes first.
func (c *Config) xHeaders() []string {
	if c.RedirectAll != "" {
		return append([]string{strings.ToLower(redirectField)}, c.XHeaders...)
	}
	return c.XHeaders
}

// redirectedField returns the field of a redirected message that goes as MIME.
func (c *Config) redirectedField(m *mime.Message) (field mime.Field, ok bool) {
	if c.RedirectAll == "" || len(m.Fields) == 0 {
		return mime.Field{}, false
	}
	return m.Fields[0], true
}
