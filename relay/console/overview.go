package console

import (
	"net/http"
	"time"

	"graphrelay/relay/queue"
)

// overviewPage says whether mail flows.
func overviewPage() page {
	return page{path: "", name: "Overview", file: "overview.html", view: (*Console).overview}
}

type overviewView struct {
	States []stateCount // every state
	Waits  int64        // messages that wait for delivery
	Oldest time.Time    // receipt of the oldest message that waits or is held; zero: none
	Bytes  int64        // of messages that have not left
}

type stateCount struct {
	State queue.State
	N     int64
}

func (c *Console) overview(r *http.Request) (any, error) {
	stats, err := c.cfg.Queue.Stats(r.Context())
	if err != nil {
		return nil, err
	}
	v := overviewView{Oldest: stats.Oldest, Bytes: stats.Bytes}
	for _, state := range queue.States() {
		v.States = append(v.States, stateCount{state, stats.Messages[state]})
	}
	v.Waits = stats.Messages[queue.Queued] + stats.Messages[queue.Delivering] + stats.Messages[queue.Deferred]
	return v, nil
}
