package relay

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/access"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/reports"
)

// buildReports makes what looks for non-delivery reports, nil if no mailbox is watched.
func (g *generation) buildReports(r *Relay) *reports.Watcher {
	watches := func(c config.Connection) bool { return g.cfg.WatchesReports(&c) }
	if !slices.ContainsFunc(g.cfg.Connections, watches) {
		return nil
	}
	return reports.New(reports.Config{
		Interval: time.Duration(g.cfg.Delivery.ReportsInterval), Watched: g.watchesReports, Mailbox: g.mailboxOf,
		Notifier: notifier(g.cfg, g.policy.BounceTo, g.receives),
	}, r.store, r.reportMetrics, g.log)
}

// watchesReports reports whether the mailbox of a lane is looked into: its connection says so,
// or a sender rule that names the mailbox or an alias of it.
func (g *generation) watchesReports(ctx context.Context, l queue.Lane) bool {
	c := g.cfg.ConnectionOf("", l.Connection)
	return c != nil && (c.WatchReports || slices.ContainsFunc(g.cfg.Senders, func(s config.Sender) bool {
		return s.WatchReports && (s.Connection == "" || s.Connection == l.Connection) && g.owns(ctx, l, s.Mailbox)
	}))
}

// keepsContent reports whether the content of a message that was sent from a lane is kept for now:
// where it was refused for a recipient, and where a non-delivery report may come and is seen.
func (g *generation) keepsContent(l queue.Lane, refused bool) bool {
	return g.cfg.Queue.KeepSentContent > 0 && (refused || g.watchesReports(context.Background(), l))
}

// owns reports whether the mailbox of a lane has the address.
func (g *generation) owns(ctx context.Context, l queue.Lane, address string) bool {
	if strings.EqualFold(address, l.Mailbox) {
		return true
	}
	user, result := g.directories[l.Connection].Owner(ctx, netip.Addr{}, address)
	return result == access.Found && strings.EqualFold(user.UserPrincipalName, l.Mailbox)
}

// receives reports whether the mailbox of a lane gets the mail for an address. The directory is
// asked about addresses of the lane's connection only.
func (g *generation) receives(l queue.Lane, address string) bool {
	if c := g.cfg.ConnectionOf(address); c == nil || c.Name != l.Connection {
		return strings.EqualFold(address, l.Mailbox)
	}
	return g.owns(context.Background(), l, address)
}

// mailboxOf returns the mailbox of a lane, by the key that the deliveries use too: they share
// its limits.
func (g *generation) mailboxOf(ctx context.Context, l queue.Lane) (reports.Mailbox, error) {
	client, err := g.clients.Of(l)
	if err != nil {
		return nil, err
	}
	user, _ := g.directories[l.Connection].Owner(ctx, netip.Addr{}, l.Mailbox)
	return client.Mailbox(cmp.Or(user.ID, l.Mailbox)), nil
}
