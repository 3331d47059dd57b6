package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"graphrelay/internal/buildinfo"
	"graphrelay/internal/sealed"
	"graphrelay/relay/access"
	"graphrelay/relay/admin"
	"graphrelay/relay/certificate"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/console"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/devices"
	"graphrelay/relay/flow"
	"graphrelay/relay/gossip"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/operators"
	"graphrelay/relay/quota"
	"graphrelay/relay/refusals"
	"graphrelay/relay/reports"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/tracing"
	"graphrelay/relay/trial"
	"graphrelay/relay/verdict"
)

// Start opens the queue and starts to accept and deliver mail. The log goes to
// logTo in the form that cfg says; the handlers in also get its entries.
func Start(ctx context.Context, cfg *config.Config, logTo io.Writer, also ...slog.Handler) (_ *Relay, err error) {
	node, err := newNode(cfg)
	if err != nil {
		return nil, err
	}
	file, err := openLog(cfg.Log, nil, logTo)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeLog(file, nil)
		}
	}()
	log := NewLog(logWriter(file, logTo), cfg.Log, also...)
	fault := make(chan error, 1)
	store, err := openQueue(ctx, cfg, true, func(err error) { report(fault, err) }, func(text string) { log.Warn(text) })
	if err != nil {
		return nil, err
	}
	if err := store.Closed(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	r := &Relay{
		logTo: logTo, logAlso: also, logFile: file, about: buildinfo.Read(), node: node, store: store, waiters: verdict.NewWaiters(), rates: access.NewRates(), quota: quota.New(store), guard: access.NewGuard(), refusals: refusals.New(), activities: connection.NewActivities(), trials: trial.New(), connectKey: sealed.NewKey(), limiter: smtpd.NewConnectionLimiter(connectionLimits(cfg)), principals: connection.NewPrincipals(),
		registry: prometheus.NewRegistry(), fault: fault, sockets: map[string]*socket{}, verify: access.NewVerifications(), turns: newTurns(),
	}
	r.devices = devices.New(devices.Options{Storage: deviceStorage(cfg, store), Audit: store.SetAudit, Log: r.Log})
	r.operators = operators.NewState(r.verify, store.SetAudit)
	r.register()
	r.openAlerts(cfg, log)
	if r.api, err = r.newAPI(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	r.flow = flow.New(r.registry, time.Now)
	r.console = console.New(console.Config{Ops: r.Operations(), Live: r, Configuration: inUse{r}, Edge: r, SignIns: r, Version: r.about.Version,
		Hostname:    func() string { return r.generation().cfg.Hostname },
		ShowContent: func() bool { return r.generation().cfg.Admin.ShowContent },
		BaseURL:     func() string { return r.generation().cfg.Admin.BaseURL() }, Log: r.Log})
	log.Info("graphrelay starts", startLine(cfg, r.about, node)...)
	if err := r.guard.Load(knownClients(cfg)); err != nil {
		log.Warn("cannot read who has signed in lately; a block after wrong passwords may hit them until they sign in again", "error", err)
	}
	if err := r.share(ctx); err != nil {
		log.Error("cannot read what the other nodes have counted lately; some of it may be counted twice", "error", err)
	}
	r.quota.SetLimits(dailyLimits(cfg), slog.New(slog.DiscardHandler)) // swap gives it the log
	if err := r.quota.Restore(ctx, time.Duration(cfg.Delivery.GiveUpAfter)); err != nil {
		log.Error("cannot read from the queue what was sent today; the recipients are counted from zero", "error", err)
	}
	if err := r.devices.Load(ctx); err != nil {
		log.Error("the devices that operators have allowed are refused", "error", err)
	}
	if err := r.swap(cfg); err != nil {
		return nil, errors.Join(err, r.closeSockets(nil), store.Close())
	}
	warnOfRoot(r.Log())
	r.watch()
	return r, nil
}

func (r *Relay) register() {
	r.smtpMetrics = smtpd.NewMetrics(r.registry)
	r.deliveryMetrics = delivery.NewMetrics(r.registry)
	r.graphMetrics = graphmail.NewMetrics(r.registry)
	r.reportMetrics = reports.NewMetrics(r.registry)
	r.reloaded = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "graphrelay_config_last_reload_successful", Help: "1 if the configuration in use is the file's, 0 if its last reload failed."})
	r.traces.dropped = tracing.NewDropped()
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "graphrelay_ready", Help: "1 if the relay can take mail, as /readyz says, else 0."}, func() float64 {
		if r.ready() != nil {
			return 0
		}
		return 1
	})
	r.registry.MustRegister(r.reloaded, ready, r.traces.dropped, r.quota, newBuildCollector(r.about),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		admin.NewQueueCollector(r.store, slog.New(slog.DiscardHandler)),
		admin.NewNodeCollector(r.store, slog.New(slog.DiscardHandler)),
		certificate.NewCollector(func() (*config.Config, certificate.List) { g := r.generation(); return g.cfg, g.certificates }),
		connection.NewExpiryCollector(func() *config.Config { return r.generation().cfg }),
		mailboxes.NewCollector(func() (*config.Config, *mailboxes.Store) { g := r.generation(); return g.cfg, g.mailboxes }))
}

// share has the nodes of a shared queue count together. What they have counted before is in the
// queue.
func (r *Relay) share(ctx context.Context) error {
	if !r.store.Shared() {
		return nil
	}
	r.rates.Share()
	r.guard.Share()
	r.quota.Share()
	r.gossip = gossip.New(r.store, r.node.ID, map[string]gossip.Part{"rates": r.rates, "passwords": r.guard, "sent": r.quota})
	r.elsewhere = &elsewhere{notes: r.store, node: r.node.Name}
	return errors.Join(r.gossip.Skip(ctx), r.elsewhere.learn(ctx))
}

// verdicts returns where sessions learn what became of their messages.
func (r *Relay) verdicts() verdict.Source {
	if r.store.Shared() {
		return verdict.Shared{Queue: r.store}
	}
	return r.waiters
}
