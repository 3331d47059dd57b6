package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/buildinfo"
	"graphrelay/relay/admin"
	"graphrelay/relay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
	"graphrelay/relay/signature"
	"graphrelay/relay/smtpd"
)

// generation is everything that one configuration makes. A reload builds the
// next one, then lets this one come to its end.
type generation struct {
	cfg       *config.Config
	log       *slog.Logger
	servers   []*smtpd.Server // in the order of cfg.Listeners
	admin     *admin.Server
	clients   map[string]*graph.Client
	deliverer *delivery.Deliverer
	policy    *policy
	mailboxes *mailboxes.Store // nil where no connection is delegated

	certificates []*certificate // in the order of cfg.Listeners, nil without TLS

	stopDelivery context.CancelFunc
	delivering   chan struct{} // closed when the deliverer has stopped
	stopTidying  context.CancelFunc
	wg           sync.WaitGroup
}

// build makes a generation; it starts nothing.
func (r *Relay) build(cfg *config.Config) (*generation, error) {
	g := &generation{cfg: cfg, log: NewLog(r.logTo, cfg.Log), clients: map[string]*graph.Client{}, delivering: make(chan struct{})}
	var err error
	if g.certificates, err = loadCertificates(cfg, g.log); err != nil {
		return nil, err
	}
	if g.mailboxes, err = openMailboxes(context.Background(), cfg, g.log); err != nil {
		return nil, err
	}
	p := newPolicy(cfg, r.rates, g.mailboxes, r.visitors)
	g.policy = p
	p.visited = func(lane queue.Lane) { g.visited(r.store, lane) }
	p.observer = func(connection string) graph.Observer { return r.deliveryMetrics.Observer(connection) }
	limiter := smtpd.NewConnectionLimiter(connectionLimits(cfg))
	for i, l := range cfg.Listeners {
		t, err := listenerTLS(l, g.certificates[i])
		if err != nil {
			return nil, errors.Join(err, g.closeMailboxes())
		}
		r.smtpMetrics.Prepare(l.Name)
		g.servers = append(g.servers, smtpd.New(r.listenerConfig(cfg, l, t), r.store, p, limiter, r.smtpMetrics, g.log))
	}
	for _, c := range cfg.Connections {
		observer := p.observer(c.Name) // whose series begin with it
		if c.SignIn == config.SignInPassThrough {
			continue // each visitor has a client of its own
		}
		client := graph.New(clientConfig(cfg, c, signIn(c, g.mailboxes), r.about, observer))
		for _, other := range g.clients { // connections may share an application, and a mailbox
			client.ShareLimits(other)
		}
		g.clients[c.Name] = client
		if c.Directory == config.DirectoryAuto && c.SignIn != config.SignInDelegated { // an owner's token may not read it
			p.directory[c.Name] = newDirectory(client, g.log.With("connection", c.Name))
		}
	}
	d := deliveryConfig(cfg, r.node)
	d.BounceTo, d.Waiters = p.bounceTo, r.waiters
	d.Owner = func(ctx context.Context, l queue.Lane) (u graph.User, later bool) {
		u, whose := p.directory[l.Connection].owner(ctx, l.Mailbox)
		return u, whose == notNow
	}
	g.deliverer = delivery.New(d, r.store, g.clientOf, r.deliveryMetrics, g.log)
	g.admin = admin.New(r.registry, r.ready, g.expiryNotices, g.connectPage(r.store), g.log)
	return g, nil
}

func (r *Relay) listenerConfig(cfg *config.Config, l config.Listener, t *tls.Config) smtpd.Config {
	return smtpd.Config{
		Name: l.Name, Hostname: cfg.Hostname,
		TLS: smtpd.TLSMode(l.TLS), TLSConfig: t, Auth: smtpd.AuthMode(l.Auth), Networks: l.Networks,
		ProxyNetworks: l.ProxyNetworks, Session: sessionLimits(cfg),
		MaxMessageBytes: int64(cfg.Limits.MessageSize), MaxRecipients: cfg.Limits.Recipients,
		MaxLineBytes: int(cfg.LineLimit(l)), MaxHeaderBytes: int(cfg.Limits.HeaderSize),
		Timeout: time.Duration(cfg.Limits.Timeout), MessageTimeout: time.Duration(cfg.Limits.MessageTimeout), MinRate: int64(cfg.Limits.MinRate),
		LineEndings: smtpd.LineEndings(l.LineEndings),
		BearerAuth:  l.PassThrough != "",
		Legacy:      l.Profile == config.ProfileLegacy, AddDomain: l.AddDomain, PlainAuth: l.PlainAuth(),
		Queue: queueLimits(cfg), Wait: time.Duration(l.Wait), Waiters: r.waiters,
	}
}

func connectionLimits(cfg *config.Config) smtpd.ConnectionLimits {
	l := cfg.Limits
	return smtpd.ConnectionLimits{
		Total: l.Connections, PerAddress: l.ConnectionsPerAddress, PerNetwork: l.ConnectionsPerNetwork, PerMinute: l.ConnectionsPerMinute,
	}
}

func sessionLimits(cfg *config.Config) smtpd.SessionLimits {
	l := cfg.Limits
	return smtpd.SessionLimits{
		Commands: l.Commands, Errors: l.Errors, BadRecipients: l.BadRecipients, Time: time.Duration(l.SessionTimeout),
		Delay: 500 * time.Millisecond,
	}
}

func queueLimits(cfg *config.Config) queue.Limits {
	return queue.Limits{Messages: int64(cfg.Queue.MaxMessages), Bytes: int64(cfg.Queue.MaxSize), FreeSpace: int64(cfg.Queue.MinFreeSpace)}
}

func clientConfig(cfg *config.Config, c config.Connection, s graph.SignIn, b buildinfo.Info, obs graph.Observer) graph.Config {
	return graph.Config{
		Tenant: c.Tenant, ClientID: c.ClientID, SignIn: s, GraphURL: c.Endpoints.Graph,
		Proxy: c.ProxyURL(), Authorities: c.Authorities, UserAgent: b.UserAgent(),
		Concurrency: cfg.Delivery.MailboxConcurrency, Budgets: budgets(cfg.Delivery), Timeout: time.Duration(cfg.Delivery.RequestTimeout), Observer: obs,
	}
}

// budgets have the stretches of time in which Graph counts.
func budgets(d config.Delivery) graph.Budgets {
	return graph.Budgets{
		Requests: graph.Budget{Amount: int64(d.MailboxRequests), Per: 10 * time.Minute},
		Upload:   graph.Budget{Amount: int64(d.MailboxUpload), Per: 5 * time.Minute},
		Sends:    graph.Budget{Amount: int64(d.MailboxPace), Per: time.Minute},
	}
}

func deliveryConfig(cfg *config.Config, node string) delivery.Config {
	perLane := 2 * cfg.Delivery.MailboxConcurrency // the next is ready when a request ends; the gate in graph counts those
	d := delivery.Config{
		Node: node, Concurrency: cfg.Delivery.Concurrency, PerLane: perLane,
		GiveUpAfter: time.Duration(cfg.Delivery.GiveUpAfter), SendSettle: time.Duration(cfg.Delivery.SendSettle),
		MIME: mimeLimits(cfg), MessageIDHost: cfg.Hostname, TidyEvery: tidyEvery,
	}
	d.XHeaders = cfg.Delivery.XHeaders
	d.BreakSignatures = cfg.Delivery.LargeSigned == config.LargeSignedConvert
	d.WarnAfter = time.Duration(cfg.Delivery.WarnAfter)
	if c := cfg.ConnectionOf(cfg.Delivery.Postmaster); c != nil {
		d.Postmaster = queue.Lane{Connection: c.Name, Mailbox: strings.ToLower(cfg.Delivery.Postmaster)}
	}
	d.ResendUnknown = cfg.Delivery.OnUnknown == config.OnUnknownResend
	d.Signatures = map[string]*signature.Template{}
	for _, s := range cfg.Signatures {
		d.Signatures[s.Name] = s.Template
	}
	d.Connections = map[string]delivery.Connection{}
	for _, c := range cfg.Connections {
		d.Connections[c.Name] = delivery.Connection{SendOnly: !c.MailReadWrite, DropCopies: !c.SentItems}
	}
	for _, delay := range cfg.Delivery.RetryDelays {
		d.RetryDelays = append(d.RetryDelays, time.Duration(delay))
	}
	return d
}

// start accepts mail and delivers it.
func (g *generation) start(r *Relay, sockets map[string]*socket) {
	for i, l := range g.cfg.Listeners {
		v := sockets[l.Address].view()
		g.log.Info("listening", "listener", l.Name, "address", v.Addr().String(), "tls", l.TLS, "auth", l.Auth)
		g.wg.Go(func() { r.failed(g.servers[i].Serve(v)) })
	}
	v := sockets[g.cfg.Admin.Address].view()
	g.log.Info("admin", "address", v.Addr().String())
	g.wg.Go(func() { r.failed(g.admin.Serve(v)) })
	tidying, cancel := context.WithCancel(context.Background())
	g.stopTidying = cancel
	g.wg.Go(func() { g.tidy(tidying, r.store) })
	g.wg.Go(func() { g.release(tidying, r.store) })
	g.wg.Go(func() { g.renewCertificates(tidying) })
	g.wg.Go(func() { g.remindOfCredentials(tidying) })
	ctx, cancel := context.WithCancel(context.Background())
	g.stopDelivery = cancel
	go func() {
		defer close(g.delivering)
		r.failed(g.deliverer.Run(ctx, drainTime))
	}()
}

// follow keeps both within Graph's limits while they overlap.
func (g *generation) follow(previous *generation) {
	g.deliverer.Follow(previous.deliverer)
	for _, c := range g.clients {
		for _, other := range previous.clients {
			c.ShareLimits(other)
		}
	}
}

const tidyEvery = time.Minute

// tidy removes what the configuration keeps no longer.
func (g *generation) tidy(ctx context.Context, q queue.Controller) {
	c := g.cfg.Queue
	keep := queue.Retention{Sent: time.Duration(c.KeepSent), SentMessages: int64(c.KeepSentMessages), Failed: time.Duration(c.KeepFailed)}
	for {
		n, err := q.Expire(ctx, keep)
		switch {
		case err != nil && ctx.Err() == nil:
			g.log.Error("cannot remove old records from the queue", "error", err)
		case n > 0:
			g.log.Info("removed old records from the queue", "messages", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tidyEvery):
		}
	}
}

// visited lets the mail of a visitor go on that waited for the sign-in.
func (g *generation) visited(q heldMail, lane queue.Lane) {
	ctx := context.Background()
	err := releaseLane(ctx, q, g.log, lane, "its client has signed in")
	if e := q.Resume(ctx, lane); e != nil && !errors.Is(e, queue.ErrNotFound) {
		err = errors.Join(err, e)
	}
	if err != nil {
		g.log.Error("cannot release the mail of a client that has signed in", "error", err)
	}
}

// releaseEvery finds mailboxes that another process (the connect command) has connected.
const releaseEvery = 2 * time.Second

// release lets mail go on once the mailbox that it waited for is connected, or its client
// has signed in while it was on its way to be held.
func (g *generation) release(ctx context.Context, q heldMail) {
	for ctx.Err() == nil {
		var err error
		if g.mailboxes != nil {
			err = releaseConnected(ctx, g.mailboxes, q, g.log)
		}
		if slices.ContainsFunc(g.cfg.Connections, func(c config.Connection) bool { return c.SignIn == config.SignInPassThrough }) {
			err = errors.Join(err, release(ctx, q, g.log, "its client has signed in", func(l queue.Lane) bool { return g.policy.visitors.ready(ctx, l.Whole()) }))
		}
		if err != nil && ctx.Err() == nil {
			g.log.Error("cannot release what was held for want of a credential", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(releaseEvery):
		}
	}
}

func (g *generation) closeMailboxes() error {
	if g.mailboxes == nil {
		return nil
	}
	return g.mailboxes.Close()
}

// stop ends the generation: listeners at once, messages on their way in and out
// when they are done or ctx is.
func (g *generation) stop(ctx context.Context) {
	g.stopTidying()
	g.stopDelivery()
	var wg sync.WaitGroup
	for _, s := range g.servers {
		wg.Go(func() { s.Shutdown(ctx) })
	}
	wg.Go(func() { g.admin.Shutdown(ctx) })
	wg.Wait()
	<-g.delivering
	g.wg.Wait()
	for _, c := range g.clients {
		c.Close()
	}
	if err := g.closeMailboxes(); err != nil {
		g.log.Error("cannot close the connected mailboxes", "error", err)
	}
}

// NewClient makes the Graph client of one connection alone, to sign in with s, or, if that
// is nil, as an application does.
func NewClient(cfg *config.Config, c config.Connection, s graph.SignIn) *graph.Client {
	if s == nil {
		s = signIn(c, nil)
	}
	return graph.New(clientConfig(cfg, c, s, buildinfo.Read(), nil))
}
