package api

import (
	"context"
	"net/http"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// LaneList is all lanes.
type LaneList struct {
	Lanes []operations.Lane `json:"lanes" nullable:"false" doc:"The lanes that have messages or a pause, by name."`
}

// LaneBody names a lane.
type LaneBody struct {
	Lane string `json:"lane" maxLength:"1000" doc:"A lane, written as connection/mailbox, or a connection for all of its lanes." example:"contoso/crm@contoso.com"`
}

type pauseInput struct {
	Body struct {
		LaneBody
		Seconds float64 `json:"seconds,omitempty" exclusiveMinimum:"0" maximum:"3153600000" doc:"How long to pause. Without it the pause lasts until it is ended."`
	}
}

type resumeInput struct{ Body LaneBody }

// Resumed is what a resume did.
type Resumed struct {
	Pauses int `json:"pauses" doc:"How many pauses were ended."`
}

func (s *server) addLanes() {
	add(s, operation{id: "list-lanes", method: http.MethodGet, path: "/lanes", tag: "lanes", role: operators.Viewer,
		summary: "List lanes", description: "Lists the lanes that have messages or are paused."},
		func(ctx context.Context, _ *struct{}) (*body[LaneList], error) {
			list, err := s.ops.Lanes(ctx)
			return answer(LaneList{append([]operations.Lane{}, list...)}, err)
		})
	add(s, operation{id: "pause-lane", method: http.MethodPost, path: "/lanes/pause", tag: "lanes", role: operators.Operator,
		summary: "Pause a lane", description: "Stops delivery from a lane, or from all lanes of a connection. Their mail is still accepted, and waits. An earlier end does not shorten a pause."},
		func(ctx context.Context, in *pauseInput) (*struct{}, error) {
			return nil, s.ops.Pause(ctx, by(ctx), in.Body.Lane, time.Duration(in.Body.Seconds*float64(time.Second)))
		})
	add(s, operation{id: "resume-lane", method: http.MethodPost, path: "/lanes/resume", tag: "lanes", role: operators.Operator,
		summary: "End a pause", description: "Ends the pause of a lane; of a connection, those of its lanes too. The messages that wait because of them are tried.", errors: []int{http.StatusConflict}},
		func(ctx context.Context, in *resumeInput) (*body[Resumed], error) {
			n, err := s.ops.Resume(ctx, by(ctx), in.Body.Lane)
			return answer(Resumed{n}, err)
		})
}
