package alert

import (
	"encoding/json"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/attention"
)

// body returns what a webhook gets.
func (n *notice) body(format string) ([]byte, error) {
	switch format {
	case "teams":
		return json.Marshal(n.teams())
	case "slack":
		return json.Marshal(n.slack())
	}
	return json.Marshal(n.json())
}

// jsonNotice is the form for programs, which docs/alerts.md describes.
type jsonNotice struct {
	Type      string             `json:"type"` // alert.opened, alert.closed, alert.summary or alert.test
	Timestamp time.Time          `json:"timestamp"`
	Relay     string             `json:"relay"`
	Title     string             `json:"title"`
	Reference string             `json:"reference"`
	Condition string             `json:"condition,omitempty"`
	Subject   string             `json:"subject,omitempty"`
	Severity  attention.Severity `json:"severity,omitempty"`
	Since     time.Time          `json:"since,omitzero"`
	Closed    time.Time          `json:"closed,omitzero"`
	Seconds   float64            `json:"duration_seconds,omitempty"`
	Cause     string             `json:"cause,omitempty"`
	Remedy    string             `json:"remedy,omitempty"`
	Command   string             `json:"command,omitempty"`
	Value     float64            `json:"value"`
	Count     int                `json:"count,omitempty"`
	Examples  []string           `json:"examples,omitempty"`
	Lines     []string           `json:"lines,omitempty"`
}

func (n *notice) json() jsonNotice {
	j := jsonNotice{Type: "alert." + n.Event, Timestamp: n.At.UTC(), Relay: n.Host, Title: n.Title, Reference: n.Ref, Lines: n.Lines}
	if i := n.Incident; i != nil {
		j.Condition, j.Subject, j.Severity, j.Since, j.Closed = i.ID, i.Subject, i.Severity, i.Since.UTC(), i.Closed
		j.Cause, j.Remedy, j.Command, j.Value, j.Count, j.Examples = i.Cause, i.Remedy, i.Command, i.Value, i.Count, i.Examples
		if !i.open() {
			j.Closed, j.Seconds = i.Closed.UTC(), i.Duration(n.At).Seconds()
		}
	}
	return j
}

// maxCard bounds a card: Teams takes 28 KB, and Slack 3,000 characters in a text.
const maxCard = 2500

// lines returns the lines of a summary as one text of bounded length.
func (n *notice) lines() string {
	return text.Shorten(strings.Join(n.Lines, "\n"), maxCard)
}

type object map[string]any

// teams returns a message with an Adaptive Card, as the workflow "Post to a channel when a webhook
// request is received" takes it. The values are in a FactSet and in TextBlocks, where Teams reads
// Markdown, so that what could be a link or a mention is made plain.
func (n *notice) teams() object {
	color := map[string]string{eventOpened: "Warning", eventClosed: "Good"}[n.Event]
	if n.Critical && n.Event != eventClosed {
		color = "Attention"
	}
	if color == "" {
		color = "Default"
	}
	body := []object{{"type": "TextBlock", "text": plainMarkdown(n.headline()), "weight": "Bolder", "size": "Medium", "wrap": true, "color": color}}
	var facts []object
	for _, f := range n.Fields {
		facts = append(facts, object{"title": f.Name, "value": plainMarkdown(f.Value)})
	}
	if len(facts) > 0 {
		body = append(body, object{"type": "FactSet", "facts": facts})
	}
	if len(n.Lines) > 0 {
		body = append(body, object{"type": "TextBlock", "text": strings.ReplaceAll(plainMarkdown(n.lines()), "\n", "\n\n"), "wrap": true})
	}
	return object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil,
		"content": object{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "msteams": object{"width": "Full"}, "body": body},
	}}}
}

// plainMarkdown keeps text from being read as Markdown, or as a mention.
func plainMarkdown(s string) string {
	var b strings.Builder
	for _, r := range text.Shorten(s, maxCard) {
		if strings.ContainsRune("\\`*_{}[]()#+!|~<>", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// slack returns a message for an incoming webhook, in plain_text, which is shown as it is, and with
// a text for notifications, in which &, < and > have to be escaped.
func (n *notice) slack() object {
	headline := text.Shorten(n.headline(), 140) // a header takes 150
	blocks := []object{{"type": "header", "text": object{"type": "plain_text", "text": headline, "emoji": false}}}
	var lines []string
	for _, f := range n.Fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	if n.Lines != nil {
		lines = append(lines, n.lines())
	}
	blocks = append(blocks, object{"type": "section", "text": object{"type": "plain_text", "text": text.Shorten(strings.Join(lines, "\n"), maxCard), "emoji": false}})
	return object{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(headline), "blocks": blocks}
}
