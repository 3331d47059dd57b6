package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// maxPage is how many messages a page has at most.
const maxPage = 200

// pageInput selects messages and a part of them.
type pageInput struct {
	Selection
	Newest bool    `query:"newest" doc:"Begin with the newest message, not with the oldest."`
	After  string  `query:"after" maxLength:"64" doc:"The queue ID after which the list goes on: the next of the page before."`
	Within float64 `query:"within" exclusiveMinimum:"0" maximum:"20" default:"10" doc:"How many seconds to look for messages. A page that is not full by then has what was found."`
	Limit  int     `query:"limit" minimum:"1" maximum:"200" default:"100" doc:"How many messages the page has at most."`
}

// MessageList is a page of messages.
type MessageList struct {
	Messages []operations.Message `json:"messages" nullable:"false" doc:"The messages, without their events."`
	Next     string               `json:"next,omitempty" doc:"The value of after for the next page. It is missing on the last page."`
	Partial  bool                 `json:"partial,omitempty" doc:"The time was over before the page was full: the next page goes on with the search."`
}

// MessageCount is how many messages something concerns.
type MessageCount struct {
	Messages int64 `json:"messages" doc:"How many messages these are."`
}

// body is an answer with a body.
type body[T any] struct{ Body T }

func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{v}, nil
}

type ByID struct {
	ID string `path:"id" maxLength:"64" doc:"The queue ID of the message."`
}

type contentInput struct {
	ByID
	Damaged bool `query:"damaged" doc:"Send what is left of a message that is damaged, too."`
}

func (s *server) addMessages() {
	add(s, operation{id: "list-messages", method: http.MethodGet, path: "/messages", tag: "messages", role: operators.Viewer,
		summary: "List messages", description: "Lists the messages that the parameters select, a page at a time, the oldest first. Without parameters it lists all of them."},
		func(ctx context.Context, in *pageInput) (*body[MessageList], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			f.Newest, f.After, f.Limit = in.Newest, in.After, in.Limit
			return answer(s.page(ctx, f, time.Duration(in.Within*float64(time.Second))))
		})
	add(s, operation{id: "count-messages", method: http.MethodGet, path: "/messages/count", tag: "messages", role: operators.Viewer,
		summary: "Count messages", description: "Counts the messages that the parameters select."},
		func(ctx context.Context, in *Selection) (*body[MessageCount], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			n, err := s.ops.Count(ctx, f)
			return answer(MessageCount{n}, err)
		})
	add(s, operation{id: "get-message", method: http.MethodGet, path: "/messages/{id}", tag: "messages", role: operators.Viewer,
		summary: "Show a message", description: "Returns all that is known of a message, with its history.", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *ByID) (*body[operations.Message], error) {
			return answer(s.ops.Message(ctx, in.ID))
		})
	add(s, operation{id: "get-content", method: http.MethodGet, path: "/messages/{id}/content", tag: "messages", role: operators.Operator,
		summary: "Read the original message", description: "Returns a message byte for byte as it was received. It is read and compared with what was accepted before the answer begins. The audit log records who has asked for it.",
		errors: []int{http.StatusNotFound, http.StatusGone},
		responses: map[string]*huma.Response{"200": {Description: "The message.", Content: map[string]*huma.MediaType{
			contentType: {Schema: &huma.Schema{Type: "string", Format: "binary", Description: "The message (RFC 5322)."}}}}}},
		func(ctx context.Context, in *contentInput) (*huma.StreamResponse, error) {
			if s.content != nil && !s.content(operators.Of(ctx)) {
				return nil, huma.Error403Forbidden("the configuration keeps the content of messages from operators (admin.show_content)")
			}
			damage := s.ops.Content(ctx, in.ID, io.Discard)
			if damage != nil && (!errors.Is(damage, queue.ErrDamaged) || !in.Damaged) {
				return nil, damage
			}
			if err := s.ops.RecordReading(ctx, by(ctx), operations.Exported, in.ID); err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) { s.sendContent(hc, in.ID, damage != nil) }}, nil
		})
}

func (s *server) page(ctx context.Context, f queue.Filter, within time.Duration) (MessageList, error) {
	found, err := s.ops.Search(ctx, f, within)
	l := MessageList{Messages: append([]operations.Message{}, found.Messages...), Next: found.Looked, Partial: found.Looked != ""}
	if n := len(l.Messages); n > 0 && n == f.Limit {
		l.Next = l.Messages[n-1].ID
	}
	return l, err
}

// contentType is that of a message in the form in which it was received.
const contentType = "message/rfc822"

// sendContent sends a message that was looked at before. If something is wrong with it now that was
// not then, the answer is cut short, which a client notices.
func (s *server) sendContent(hc huma.Context, id string, damaged bool) {
	_, w := humago.Unwrap(hc)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.eml"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := s.ops.Content(hc.Context(), id, w); err != nil && !damaged {
		panic(http.ErrAbortHandler)
	}
}
