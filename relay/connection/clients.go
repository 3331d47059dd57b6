package connection

import (
	"fmt"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// Clients are the Graph clients of one configuration, one for each connection, and
// those of the principals.
type Clients struct {
	cfg        *config.Config
	byName     map[string]*graph.Client
	principals *Principals
}

// NewClients returns a client for each connection but those with pass_through, whose
// principals have their own. tokens returns the refresh tokens of a delegated
// connection; observer returns what counts a connection's requests.
func NewClients(cfg *config.Config, principals *Principals, tokens func(connection string) entra.RefreshTokens, observer func(connection string) graph.Observer) *Clients {
	c := &Clients{cfg: cfg, byName: map[string]*graph.Client{}, principals: principals}
	for _, of := range cfg.Connections {
		o := observer(of.Name) // also makes the series of a pass_through connection appear
		if of.SignIn == config.SignInPassThrough {
			continue
		}
		var t entra.RefreshTokens
		if of.SignIn == config.SignInDelegated {
			t = tokens(of.Name)
		}
		client := NewClient(cfg, of, SignIn(of, t), o)
		for _, other := range c.byName { // connections may share an application, and a mailbox
			client.ShareLimits(other)
		}
		c.byName[of.Name] = client
	}
	return c
}

// Named returns the client of a configured connection, or nil.
func (c *Clients) Named(connection string) *graph.Client { return c.byName[connection] }

// Of returns the client of a lane: its connection's, or its principal's. The error says
// why there is none; it wraps graph.ErrNotConnected if there may be one later.
func (c *Clients) Of(lane queue.Lane) (*graph.Client, error) {
	client := c.byName[lane.Connection]
	switch {
	case lane.Principal == "" && client != nil:
		return client, nil
	case lane.Principal == "" || client != nil || c.cfg.ConnectionOf("", lane.Connection) == nil:
		return nil, fmt.Errorf("the configuration no longer has a connection %s", lane.Connection)
	}
	if client = c.principals.Client(lane); client != nil {
		return client, nil
	}
	return nil, fmt.Errorf("%w: the relay has had no credential of %s since it started; the mail goes on when that client signs in again", graph.ErrNotConnected, lane.Principal)
}

// ShareLimits makes these clients count their requests together with those of
// another configuration, while both are in use.
func (c *Clients) ShareLimits(other *Clients) {
	for _, client := range c.byName {
		for _, o := range other.byName {
			client.ShareLimits(o)
		}
	}
}

// Close closes the clients of the connections. Principals' clients stay.
func (c *Clients) Close() {
	for _, client := range c.byName {
		client.Close()
	}
}
