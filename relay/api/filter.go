package api

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Selection are the parameters that select messages. Those that are missing select all. Texts are
// compared without regard to case.
type Selection struct {
	State      []string  `query:"state" maxItems:"8" enum:"queued,delivering,deferred,held,sent,returned,failed,deleted" doc:"The states of the messages, with commas between them."`
	Reason     []string  `query:"reason" maxItems:"100" maxLength:"64" doc:"The reasons for which the messages wait or have ended, with commas between them."`
	ID         string    `query:"id" maxLength:"64" doc:"The queue ID, or how it begins."`
	Lane       string    `query:"lane" maxLength:"1000" doc:"The lane, written as connection/mailbox, or a connection for all of its lanes." example:"contoso/crm@contoso.com"`
	From       string    `query:"from" maxLength:"1000" doc:"A part of the envelope's sender."`
	To         string    `query:"to" maxLength:"1000" doc:"A part of the address of a recipient."`
	Subject    string    `query:"subject" maxLength:"1000" doc:"A part of the subject."`
	Text       string    `query:"text" maxLength:"1000" doc:"A part of the queue ID, the Message-ID, a sender or recipient, or the subject."`
	MessageID  string    `query:"message_id" maxLength:"1000" doc:"The whole Message-ID, with or without its angle brackets. Case matters."`
	User       string    `query:"user" maxLength:"1000" doc:"The SMTP user who sent the messages."`
	Client     string    `query:"client" maxLength:"64" doc:"A part of the client's IP address."`
	Since      time.Time `query:"since" doc:"When the messages were received: then or later." example:"2026-11-29T14:00:00Z"`
	Before     time.Time `query:"before" doc:"When the messages were received: before that." example:"2026-11-30T14:00:00Z"`
	HasContent bool      `query:"has_content" doc:"Only messages whose content is kept."`
}

// filter returns the filter that selects the same.
func (s Selection) filter() (queue.Filter, error) {
	f := queue.Filter{ID: s.ID, Lane: s.Lane, From: s.From, To: s.To, Subject: s.Subject, Text: s.Text, MessageID: s.MessageID,
		User: s.User, Client: s.Client, Since: s.Since, Before: s.Before, HasContent: s.HasContent}
	for _, state := range s.State {
		f.States = append(f.States, queue.State(state))
	}
	if s.MessageID != "" && !strings.HasPrefix(s.MessageID, "<") {
		f.MessageID = "<" + s.MessageID + ">"
	}
	for _, word := range s.Reason {
		if !slices.Contains(reason.All(), reason.Reason(word)) {
			return f, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Message: "there is no such reason; docs/operations.md lists them", Location: "query.reason", Value: word})
		}
		f.Reasons = append(f.Reasons, reason.Reason(word))
	}
	return f, nil
}

// selectsAll reports whether no parameter selects messages.
func (s Selection) selectsAll() bool { return reflect.ValueOf(s).IsZero() }

// queryOf returns the parameters that select what a filter does. They have nothing of its Newest,
// After and Limit.
func queryOf(f queue.Filter) url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	moment := func(name string, t time.Time) {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	set("state", joined(f.States))
	set("reason", joined(f.Reasons))
	set("id", f.ID)
	set("lane", f.Lane)
	set("from", f.From)
	set("to", f.To)
	set("subject", f.Subject)
	set("text", f.Text)
	set("message_id", f.MessageID)
	set("user", f.User)
	set("client", f.Client)
	moment("since", f.Since)
	moment("before", f.Before)
	if f.HasContent {
		q.Set("has_content", "true")
	}
	return q
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = string(x)
	}
	return strings.Join(words, ",")
}
