package relay

import (
	"context"
	"time"

	"graphrelay/relay/flow"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

// Operations returns what can be seen of the relay's queue and done to it.
func (r *Relay) Operations() operations.Operations {
	return operations.Local{Store: operated{r.store, r.turns}, Connections: func() []string {
		var names []string
		for _, c := range r.generation().cfg.Connections {
			names = append(names, c.Name)
		}
		return names
	}}
}

// Stats counts the queue.
func (r *Relay) Stats(ctx context.Context) (queue.Stats, error) { return r.store.Stats(ctx) }

// Flow returns how mail flowed through this relay in a time until now, of at most a day, in points
// of the length step.
func (r *Relay) Flow(length, step time.Duration) flow.Series { return r.flow.Last(length, step) }

// sent counts a message that has left.
func (r *Relay) sent(l queue.Lane, to []string, took time.Duration) {
	r.quota.Sent(l, to)
	r.flow.Delivered(took)
}

// sampleFlow records how mail flows until ctx is done.
func (r *Relay) sampleFlow(ctx context.Context) {
	tick := time.NewTicker(flow.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.flow.Sample(); err != nil {
				r.Log().Debug("cannot read all metrics for the plots of the console", "error", err)
			}
		}
	}
}

// Describe returns what the stored content of a message has, read as at its delivery.
func (r *Relay) Describe(ctx context.Context, id string) (operations.Description, error) {
	return operations.Describe(ctx, r.store, id, mimeLimits(r.generation().cfg))
}
