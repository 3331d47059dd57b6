package relay

import (
	"context"
	"time"

	"graphrelay/relay/flow"
	"graphrelay/relay/queue"
)

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
