package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/access"
	"graphrelay/relay/admin"
	"graphrelay/relay/certificate"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/pickup"
	"graphrelay/relay/queue"
	"graphrelay/relay/reports"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/tracing"
)

// generation holds the parts that one configuration makes. A reload builds the next
// generation, then ends this one.
type generation struct {
	cfg          *config.Config
	log          *slog.Logger
	servers      []*smtpd.Server // in the order of cfg.Listeners
	pickup       *pickup.Watcher // nil if there is no pickup folder
	certificates certificate.List
	admin        *admin.Server
	clients      *connection.Clients
	principals   *connection.Principals
	outlet       *graphmail.Outlet
	deliverer    *delivery.Deliverer
	policy       *access.Policy
	mailboxes    *mailboxes.Store // nil if no connection is delegated
	connected    connected
	directories  map[string]*access.Directory
	reports      *reports.Watcher // nil if no mailbox is watched

	stopPickup      context.CancelFunc
	stopDelivery    context.CancelFunc
	delivering      chan struct{} // closed when the deliverer has stopped
	stopMaintenance context.CancelFunc
	wg              sync.WaitGroup
}

// build makes a generation. It starts nothing.
func (r *Relay) build(cfg *config.Config, log *slog.Logger) (*generation, error) {
	g := &generation{cfg: cfg, log: log, principals: r.principals, delivering: make(chan struct{})}
	var err error
	if g.certificates, err = certificate.Load(cfg, g.log); err != nil {
		return nil, err
	}
	if g.mailboxes, err = mailboxes.OpenConfigured(context.Background(), cfg, g.log); err != nil {
		return nil, err
	}
	for i := range cfg.Connections { // a reload goes on with the certificates that are in use
		if c := &cfg.Connections[i]; c.Managed != nil {
			c.Managed = r.managed.Keep(c.Managed)
		}
	}
	observer := func(name string) graph.Observer {
		r.deliveryMetrics.Prepare(name, graphmail.PathDraft)
		r.reportMetrics.Prepare(name)
		return r.activities.Observer(name, r.graphMetrics.Observer(name))
	}
	g.clients = connection.NewClients(cfg, r.principals, g.tokens, observer)
	g.directories = g.newDirectories()
	g.policy = access.New(access.Options{
		Config: cfg, Rates: r.rates, Guard: r.guard, Verifications: r.verify, Mailboxes: g.mailboxes, Directories: g.directories, MIME: mimeLimits(cfg), LargeFile: graphmail.TooLarge,
		Elsewhere: r.elsewhere.has, Devices: r.devices,
		PassThrough: &connection.PassThrough{
			Config: cfg, Principals: r.principals, Observer: observer,
			SignedIn: func(lane queue.Lane) { g.releaseSignedIn(r.store, lane) },
		},
	})
	tracer, err := r.tracer(cfg)
	if err == nil {
		err = g.buildServers(r, tracer)
	}
	if err != nil {
		return nil, errors.Join(err, g.closeMailboxes())
	}
	o := outletConfig(cfg)
	o.Clients, o.Log, o.Metrics = g.clients.Of, g.log, r.graphMetrics
	o.Owner = func(ctx context.Context, l queue.Lane) (u graph.User, retry bool) {
		u, result := g.directories[l.Connection].Owner(ctx, netip.Addr{}, l.Mailbox)
		return u, result == access.Unavailable
	}
	g.outlet = graphmail.New(o)
	node := r.node
	node.About.Config = digest(cfg)
	d := deliveryConfig(cfg, node)
	d.NotifyAt, d.Waiters, d.Sent, d.Serves, d.Private, d.KeepsContent = g.policy.BounceTo, r.waiters, r.sent, g.serves, g.private, g.keepsContent
	if tracer != nil {
		d.Tracer = tracer
	}
	g.deliverer = delivery.New(d, r.store, g.outlet, r.deliveryMetrics, g.log)
	g.reports = g.buildReports(r)
	g.admin = admin.New(admin.Config{
		Registry: r.registry, Ready: r.ready, Notices: func() []string { return append(append(notices(cfg), r.differing.notices()...), g.pickupNotices()...) },
		Pages: func(mux *http.ServeMux) { r.addOperatorPages(mux, g) }, Connect: g.connectPage(r.store, r.connectKey),
		BaseURL: cfg.Admin.BaseURL(), Beyond: !cfg.Admin.Loopback(), Named: cfg.Admin.Serves, TLS: g.certificates.AdminTLS(cfg.Admin), Log: g.log,
	})
	return g, nil
}

// notices returns the lines of /readyz about what an operator should know.
func notices(cfg *config.Config) []string {
	all := connection.ExpiryNotices(cfg)
	if to := cfg.Delivery.RedirectAll; to != "" {
		all = append([]string{"delivery.redirect_all: ALL mail goes to " + to + ", and to nobody else"}, all...)
	}
	return all
}

func (g *generation) buildServers(r *Relay, tracer *tracing.Tracer) error {
	for i, l := range g.cfg.Listeners {
		t, err := certificate.ListenerTLS(l, g.certificates[i])
		if err != nil {
			return err
		}
		r.smtpMetrics.Prepare(l.Name)
		c := listenerConfig(g.cfg, l, t, r.verdicts(), r.refusals)
		if tracer != nil {
			c.Accepted = tracer.Accepted
		}
		g.servers = append(g.servers, smtpd.New(c, r.store, g.policy, r.limiter, r.smtpMetrics, g.log))
	}
	g.pickup = g.buildPickup(r, tracer)
	return nil
}

// tokens returns the refresh tokens of a delegated connection.
func (g *generation) tokens(name string) entra.RefreshTokens { return g.mailboxes.Of(name) }

// newDirectories returns a directory for each connection that has one to ask. A mailbox
// owner's token may not read it.
func (g *generation) newDirectories() map[string]*access.Directory {
	all := map[string]*access.Directory{}
	for _, c := range g.cfg.Connections {
		client := g.clients.Named(c.Name)
		if client != nil && c.Directory == config.DirectoryAuto && c.SignIn != config.SignInDelegated {
			all[c.Name] = access.NewDirectory(client, g.log.With("connection", c.Name))
		}
	}
	return all
}

// start accepts mail and delivers it.
func (g *generation) start(r *Relay, sockets map[string]*socket) {
	for i, l := range g.cfg.Listeners {
		v := sockets[l.Address].view()
		g.log.Log(context.Background(), sockets[l.Address].level(), "listening", "listener", l.Name, "address", v.Addr().String(), "tls", l.TLS, "auth", l.Auth)
		g.wg.Go(func() { r.failed(g.servers[i].Serve(v)) })
	}
	v := sockets[g.cfg.Admin.Address].view()
	g.log.Log(context.Background(), sockets[g.cfg.Admin.Address].level(), "admin", "address", v.Addr().String())
	g.wg.Go(func() { r.failed(g.admin.Serve(v)) })
	g.startMaintenance(r.store, r.store)
	if r.store.Shared() {
		g.startExchange(r)
	}
	g.startPickup()
	ctx, cancel := context.WithCancel(context.Background())
	g.stopDelivery = cancel
	go func() {
		defer close(g.delivering)
		g.deliverer.Run(ctx, drainTime)
	}()
}

// inherit takes over what the previous generation counts, so that both stay within
// Graph's limits while they overlap.
func (g *generation) inherit(previous *generation) {
	g.outlet.Inherit(previous.outlet)
	g.clients.ShareLimits(previous.clients)
}

func (g *generation) closeMailboxes() error {
	if g.mailboxes == nil {
		return nil
	}
	return g.mailboxes.Close()
}

// stop ends the generation: listeners at once; messages that are arriving or being
// delivered when they are done or ctx is.
func (g *generation) stop(ctx context.Context) {
	g.stopMaintenance()
	g.stopPickup()
	g.stopDelivery()
	var wg sync.WaitGroup
	for _, s := range g.servers {
		wg.Go(func() { s.Shutdown(ctx) })
	}
	wg.Go(func() { g.admin.Shutdown(ctx) })
	wg.Wait()
	<-g.delivering
	g.wg.Wait()
	g.clients.Close()
	if err := g.closeMailboxes(); err != nil {
		g.log.Error("cannot close the connected mailboxes", "error", err)
	}
}
