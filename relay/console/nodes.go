package console

import (
	"errors"
	"fmt"
	"net/http"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// nodesPage shows the relays that work on the queue.
func nodesPage() page {
	return page{path: "nodes", name: "Nodes", file: "nodes.html", view: (*Console).nodes, actions: []action{
		{path: "nodes/drain", role: operators.Operator, do: func(c *Console, r *http.Request) (string, error) { return c.drain(r, true) }},
		{path: "nodes/undrain", role: operators.Operator, do: func(c *Console, r *http.Request) (string, error) { return c.drain(r, false) }},
	}}
}

type nodesView struct {
	Nodes   []operations.Node
	Differ  bool // their configurations do
	Drains  bool // there are others that could take over
	Acts    bool
	Version string
}

func (c *Console) nodes(r *http.Request) (any, error) {
	list, err := c.cfg.Ops.Nodes(r.Context())
	v := nodesView{Nodes: list, Acts: operators.Of(r.Context()).Role >= operators.Operator, Version: c.cfg.Version}
	if errors.Is(err, queue.ErrNotShared) {
		err = nil
	}
	working := 0
	for _, n := range list {
		v.Differ = v.Differ || n.Differs
		if n.State != queue.Gone {
			working++
		}
	}
	v.Drains = working > 1
	return v, err
}

func (c *Console) drain(r *http.Request, drain bool) (done string, err error) {
	node := r.PostForm.Get("node")
	if err := c.cfg.Ops.Drain(r.Context(), by(r), node, drain); err != nil {
		return "", fmt.Errorf("cannot change %s: %w", node, err)
	}
	if drain {
		return node + " takes no more mailboxes, and hands over those that it has once their messages under way are done.", nil
	}
	return node + " takes mailboxes again.", nil
}
