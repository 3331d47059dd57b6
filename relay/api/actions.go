package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// maxIDs is how many messages can be named in a request.
const maxIDs = 500

type ByAction struct {
	Action string `path:"action" enum:"hold,release,retry,delete" doc:"hold: stop messages that wait or are in delivery. release: let held ones go on; recipients may get one a second time that is held as send_unknown. retry: try messages now, failed ones included, and held ones as release does. delete: delete those that are not in delivery, and tell nobody."`
}

// actInput names messages.
type actInput struct {
	ByAction
	Body struct {
		IDs    []string `json:"ids" minItems:"1" maxItems:"500" maxLength:"1000" nullable:"false" doc:"The queue IDs of the messages."`
		DryRun bool     `json:"dry_run,omitempty" doc:"Change nothing, and say of which messages the action would be possible."`
	}
}

// actAllInput selects messages.
type actAllInput struct {
	ByAction
	Selection
	All    bool `query:"all" doc:"Without another parameter that selects messages, this has to be true."`
	Limit  int  `query:"limit" minimum:"1" doc:"Change at most so many messages, the oldest first."`
	DryRun bool `query:"dry_run" doc:"Change nothing, and say how many messages would be changed."`
}

type resendInput struct {
	ByID
	Body struct {
		Recipients []string `json:"recipients" minItems:"1" maxItems:"500" maxLength:"1000" nullable:"false" doc:"The addresses that get the message."`
	}
}

// Resent is a message that goes out again.
type Resent struct {
	ID string `json:"id" doc:"The queue ID of the new message."`
}

// ActionResults is what became of an action on messages.
type ActionResults struct {
	Results []ActionResult `json:"results" nullable:"false" doc:"One for each message, in the order of the request."`
}

// ActionResult is what became of an action on one message.
type ActionResult struct {
	ID      string           `json:"id" doc:"The queue ID of the message."`
	Done    bool             `json:"done" doc:"The action was carried out, or would be."`
	Problem *huma.ErrorModel `json:"problem,omitempty" doc:"Why it was not carried out."`
}

func (s *server) addActions() {
	add(s, operation{id: "act", method: http.MethodPost, path: "/actions/{action}", tag: "messages", role: operators.Operator,
		summary: "Act on messages", description: "Carries out an action on messages that are named, one after the other, and goes on after one for which it is not possible."},
		func(ctx context.Context, in *actInput) (*body[ActionResults], error) {
			results, err := s.ops.Act(ctx, by(ctx), queue.Action(in.Action), in.Body.IDs, in.Body.DryRun)
			list := ActionResults{Results: make([]ActionResult, 0, len(results))}
			for _, r := range results {
				v := ActionResult{ID: r.ID, Done: r.Err == nil}
				if r.Err != nil {
					v.Problem = problem(r.Err)
				}
				list.Results = append(list.Results, v)
			}
			return answer(list, err)
		})
	add(s, operation{id: "act-on-selection", method: http.MethodPost, path: "/actions/{action}/selection", tag: "messages", role: operators.Operator,
		summary: "Act on all messages that are selected", description: "Carries out an action on the messages that the parameters select of the queue as it is now. It passes over those for which the action is not possible. If the request is given up, the action ends with what was changed until then.",
		errors: []int{http.StatusConflict}},
		func(ctx context.Context, in *actAllInput) (*body[MessageCount], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			if !in.All && in.selectsAll() {
				return nil, huma.Error422UnprocessableEntity("no parameter selects messages; set all to true if you mean all of them")
			}
			f.Limit = in.Limit
			n, err := s.ops.ActAll(ctx, by(ctx), queue.Action(in.Action), f, in.DryRun)
			if err != nil && n > 0 {
				return nil, &partialError{err, n}
			}
			return answer(MessageCount{n}, err)
		})
}

func (s *server) addResend() {
	add(s, operation{id: "resend", method: http.MethodPost, path: "/messages/{id}/resend", tag: "messages", role: operators.Operator,
		summary: "Send a message again", description: "Sends the content of a message that is held, has failed, or was sent and is kept with its content, to the recipients that are named, as a message of its own. The first message loses its content, so that only one of the two can go out. If its may_be_sent is true, recipients may get it a second time.",
		errors: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *resendInput) (*body[Resent], error) {
			id, err := s.ops.Resend(ctx, by(ctx), in.ID, in.Body.Recipients)
			return answer(Resent{id}, err)
		})
}

// partialError is an error after a part of the messages was changed.
type partialError struct {
	error
	changed int64
}

// Unwrap returns the error itself.
func (p *partialError) Unwrap() error { return p.error }
