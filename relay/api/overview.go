package api

import (
	"context"
	"net/http"
	"time"

	"graphrelay/relay/flow"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// ConditionList is what needs an operator now.
type ConditionList struct {
	Conditions []operations.Condition `json:"conditions" nullable:"false" doc:"The conditions, the most severe first."`
}

type flowInput struct {
	Span string `query:"span" enum:"hour,day" default:"hour" doc:"How far back the answer goes: an hour, in points of a minute, or a day, in points of ten minutes."`
}

func (s *server) addOverview() {
	add(s, operation{id: "list-conditions", method: http.MethodGet, path: "/attention", tag: "relay", role: operators.Viewer,
		summary: "List what needs attention", description: "Lists the conditions that hold now, each with its cause and what to do."},
		func(ctx context.Context, _ *struct{}) (*body[ConditionList], error) {
			return answer(ConditionList{append([]operations.Condition{}, s.overview.Attention(ctx)...)}, nil)
		})
	add(s, operation{id: "get-flow", method: http.MethodGet, path: "/flow", tag: "relay", role: operators.Viewer,
		summary: "Show how mail flows", description: "Counts what this relay accepted and what became of it, since it was started."},
		func(_ context.Context, in *flowInput) (*body[flow.Series], error) {
			length, step := time.Hour, time.Minute
			if in.Span == "day" {
				length, step = 24*time.Hour, 10*time.Minute
			}
			return answer(s.overview.Flow(length, step), nil)
		})
}
