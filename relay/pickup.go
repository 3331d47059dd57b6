package relay

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/pickup"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/tracing"
)

// buildPickup returns what takes mail from the pickup folder, or nil if there is none. Its mail is
// accepted as that of a listener is.
func (g *generation) buildPickup(r *Relay, tracer *tracing.Tracer) *pickup.Watcher {
	l := g.cfg.PickupListener()
	if l == nil {
		return nil
	}
	r.smtpMetrics.Prepare(l.Name)
	c := listenerConfig(g.cfg, *l, nil, r.verdicts(), r.refusals)
	if tracer != nil {
		c.Accepted = tracer.Accepted
	}
	server := smtpd.New(c, r.store, g.policy, r.limiter, r.smtpMetrics, g.log)
	return pickup.New(pickup.Config{
		Folder: g.cfg.Pickup.Folder, Settle: time.Duration(g.cfg.Pickup.Settle), HeaderBytes: int(g.cfg.Limits.HeaderSize),
		Submit: server.Submit, Refuse: server.Refuse,
		Queued: func(ctx context.Context, id string) (bool, error) {
			_, _, err := r.store.Get(ctx, id)
			if errors.Is(err, queue.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		},
		Log: g.log,
	})
}

// startPickup takes mail from the pickup folder, once the generation before has stopped to.
func (g *generation) startPickup() {
	ctx, cancel := context.WithCancel(context.Background())
	g.stopPickup = cancel
	if g.pickup != nil {
		g.wg.Go(func() { g.pickup.Run(ctx) })
	}
}

// pickupNotices returns lines for /readyz.
func (g *generation) pickupNotices() []string {
	if g.pickup == nil {
		return nil
	}
	return g.pickup.Notices()
}
