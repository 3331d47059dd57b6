package relay

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/gossip"
	"graphrelay/relay/queue"
)

const (
	maintenanceInterval = time.Minute
	// releaseInterval is how soon mail goes on after another process, the connect
	// command, has connected its mailbox.
	releaseInterval = 2 * time.Second
)

// startMaintenance starts what a generation does from time to time.
func (g *generation) startMaintenance(c queue.Controller, held connection.HeldMail) {
	ctx, cancel := context.WithCancel(context.Background())
	g.stopMaintenance = cancel
	g.wg.Go(func() { every(ctx, maintenanceInterval, func() { g.expire(ctx, c) }) })
	g.wg.Go(func() { every(ctx, releaseInterval, func() { g.releaseHeld(ctx, held) }) })
	g.wg.Go(func() { every(ctx, maintenanceInterval, g.saveKnown) })
	g.wg.Go(func() { g.certificates.Renew(ctx) })
	if g.reports != nil {
		g.wg.Go(func() { g.reports.Run(ctx) })
	}
	for _, renewal := range g.clients.Renewals(g.log) {
		g.wg.Go(func() { renewal.Run(ctx) })
	}
	g.wg.Go(func() { connection.RemindOfExpiry(ctx, g.cfg, g.log) })
}

// startExchange starts what a node does because of the others.
func (g *generation) startExchange(r *Relay) {
	ctx, stop := context.WithCancel(context.Background())
	before := g.stopMaintenance
	g.stopMaintenance = func() { before(); stop() }
	g.wg.Go(func() {
		every(ctx, nodesInterval, func() { r.differing.look(ctx, r.store, r.store.Wall(r.store.Now()), g.log) })
	})
	g.wg.Go(func() {
		every(ctx, gossip.Interval, func() {
			err := errors.Join(r.elsewhere.tell(ctx, g.mailboxes), r.elsewhere.learn(ctx))
			if err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrAway) {
				g.log.Error("cannot share with the other nodes which mailboxes are connected", "error", err)
			}
		})
	})
	g.wg.Go(func() {
		every(ctx, gossip.Interval, func() {
			if err := r.devices.Load(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrAway) {
				g.log.Error("cannot learn which devices other nodes allow", "error", err)
			}
		})
	})
	g.wg.Go(func() {
		every(ctx, gossip.Interval, func() {
			if err := r.gossip.Step(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrAway) {
				g.log.Error("cannot share with the other nodes what clients have sent", "error", err)
			}
		})
	})
}

// every calls do at once and then at each interval, until ctx is done.
func every(ctx context.Context, interval time.Duration, do func()) {
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

// expire removes records that the configuration does not keep any longer.
func (g *generation) expire(ctx context.Context, q queue.Controller) {
	n, err := q.Expire(ctx, retention(g.cfg))
	switch {
	case err != nil && ctx.Err() == nil:
		g.log.Error("cannot remove old records from the queue", "error", err)
	case n > 0:
		g.log.Info("removed old records from the queue", "messages", n)
	}
}

// knownClients returns the file of the users who have signed in lately.
func knownClients(cfg *config.Config) string {
	return filepath.Join(cfg.DataDir, "known-clients.json")
}

func (g *generation) saveKnown() {
	if err := g.policy.Guard.Save(knownClients(g.cfg)); err != nil {
		g.log.Error("cannot save who has signed in lately", "error", err)
	}
}

// releaseHeld releases mail whose mailbox has been connected, or whose client signed in
// while the message was on its way to be held.
func (g *generation) releaseHeld(ctx context.Context, q connection.HeldMail) {
	var err error
	if g.mailboxes != nil {
		err = g.mailboxes.ReleaseConnected(ctx, q, g.log)
	}
	if slices.ContainsFunc(g.cfg.Connections, func(c config.Connection) bool { return c.SignIn == config.SignInPassThrough }) {
		err = errors.Join(err, connection.ReleaseHeld(ctx, q, g.log, signedInAgain, func(l queue.Lane) bool { return g.principals.Ready(ctx, l) }))
	}
	if err != nil && ctx.Err() == nil {
		g.log.Error("cannot release what was held for want of a credential", "error", err)
	}
}

const signedInAgain = "its client has signed in"

// releaseSignedIn releases the mail that waited for a principal to sign in.
func (g *generation) releaseSignedIn(q connection.HeldMail, lane queue.Lane) {
	ctx := context.Background()
	err := connection.ReleaseHeldIn(ctx, q, g.log, signedInAgain, lane)
	if e := q.Resume(ctx, lane); e != nil && !errors.Is(e, queue.ErrNotFound) {
		err = errors.Join(err, e)
	}
	if err != nil {
		g.log.Error("cannot release the mail of a client that has signed in", "error", err)
	}
}
