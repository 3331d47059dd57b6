package relay

import (
	"context"
	"slices"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
	"graphrelay/relay/trial"
)

var _ operations.SignIns = (*Relay)(nil)

// Connections returns the connections of the configuration in use.
func (r *Relay) Connections(ctx context.Context) ([]operations.Connection, error) {
	g := r.generation()
	lanes, err := r.store.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	connected, refused, err := g.owners(ctx)
	if err != nil {
		return nil, err
	}
	now := r.store.Wall(r.store.Now())
	all := make([]operations.Connection, 0, len(g.cfg.Connections))
	for i := range g.cfg.Connections {
		c := &g.cfg.Connections[i]
		o := describe(c)
		o.Activity = r.activities.Of(c.Name)
		o.Checked, o.Trial = r.trials.Checked(c.Name), r.trials.Last(c.Name)
		o.Connected, o.Refused = connected[c.Name], refused[c.Name]
		at := slices.IndexFunc(lanes, func(l queue.LaneStatus) bool {
			return l.Lane == queue.Lane{Connection: c.Name} && l.PausedUntil.After(now)
		})
		if at >= 0 {
			o.PausedUntil, o.PausedFor = &lanes[at].PausedUntil, lanes[at].PausedFor
		}
		o.State = stateOf(o)
		all = append(all, o)
	}
	return all, nil
}

// describe returns what the configuration says of a connection.
func describe(c *config.Connection) operations.Connection {
	o := operations.Connection{Name: c.Name, SignIn: c.SignIn, Tenant: c.Tenant, ClientID: c.ClientID, Domains: c.Domains,
		Notice: c.ExpiryNotice(time.Now()), Certificates: connection.Certificates(c)}
	switch c.SignIn {
	case config.SignInPassThrough, config.SignInManaged, config.SignInWorkload:
		return o
	}
	what, _, end := c.Credential()
	if o.Credential = what; !end.IsZero() {
		o.Expires = &end
	}
	return o
}

func stateOf(o operations.Connection) operations.ConnectionState {
	switch {
	case o.PausedUntil != nil:
		return operations.ConnectionPaused
	case o.SignIn == config.SignInPassThrough:
		return operations.ConnectionClients
	case o.SignInFailing:
		return operations.ConnectionFailing
	case o.LastToken != nil, o.Checked != nil && !o.Checked.Check.TokenUntil.IsZero():
		return operations.ConnectionWorking
	}
	return operations.ConnectionUnknown
}

// maxRefused bounds how many mailboxes of a connection are named.
const maxRefused = 50

// owners returns how many mailboxes are connected, and which of them have to be connected again,
// by connection.
func (g *generation) owners(ctx context.Context) (connected map[string]int, refused map[string][]string, err error) {
	connected, refused = map[string]int{}, map[string][]string{}
	if g.mailboxes == nil {
		return connected, refused, nil
	}
	list, err := g.mailboxes.List(ctx)
	for _, m := range list {
		if m.Refused == "" {
			connected[m.Connection]++
		} else if len(refused[m.Connection]) < maxRefused {
			refused[m.Connection] = append(refused[m.Connection], m.Address)
		}
	}
	return connected, refused, err
}

// TryConnection begins a trial of a connection.
func (r *Relay) TryConnection(ctx context.Context, by string, q trial.Request) error {
	if err := r.trials.Start(r.generation().cfg, by, q); err != nil {
		return err
	}
	action := "check connection"
	if q.Probe {
		action = "probe connection"
	}
	return r.audit(ctx, by, action, q.Connection)
}

// StopTrial ends the trial that runs.
func (r *Relay) StopTrial(ctx context.Context, by string) error {
	if err := r.trials.Stop(); err != nil {
		return err
	}
	return r.audit(ctx, by, "stop trial", "")
}

// audit records what an operator has done that changes no message and no lane.
func (r *Relay) audit(ctx context.Context, by, action, on string) error {
	now := time.Now()
	return r.store.SetAudit(ctx, queue.Audit{ID: queue.NewID(now), At: now, By: by, Action: action, On: on})
}
