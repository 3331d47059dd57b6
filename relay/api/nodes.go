package api

import (
	"context"
	"net/http"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// NodeList is all nodes.
type NodeList struct {
	Nodes []operations.Node `json:"nodes" nullable:"false" doc:"The relays that work on the queue, by name."`
}

type nodeInput struct {
	Body struct {
		Node string `json:"node" maxLength:"1000" doc:"The name of a relay." example:"relay2"`
	}
}

func (s *server) addNodes() {
	add(s, operation{id: "list-nodes", method: http.MethodGet, path: "/nodes", tag: "nodes", role: operators.Viewer,
		summary: "List relays", description: "Lists the relays that work on the queue."},
		func(ctx context.Context, _ *struct{}) (*body[NodeList], error) {
			list, err := s.ops.Nodes(ctx)
			return answer(NodeList{append([]operations.Node{}, list...)}, err)
		})
	drain := func(id, path, summary, description string, drain bool) {
		add(s, operation{id: id, method: http.MethodPost, path: path, tag: "nodes", role: operators.Operator,
			summary: summary, description: description, errors: []int{http.StatusNotFound, http.StatusConflict}},
			func(ctx context.Context, in *nodeInput) (*struct{}, error) {
				return nil, s.ops.Drain(ctx, by(ctx), in.Body.Node, drain)
			})
	}
	drain("drain-node", "/nodes/drain", "Drain a relay", "Has a relay take no more lanes, and give back each of its own when its messages in delivery have come to an end.", true)
	drain("undrain-node", "/nodes/undrain", "End a drain", "Has a relay that drains take lanes again.", false)
}
