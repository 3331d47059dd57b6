// Package relay wires graphrelay together. It opens the queue, builds the parts
// that a configuration describes, and starts, reloads and stops them.
//
// It promises that a stop loses nothing and, within drainTime, cuts short no
// message that is arriving or being sent, and that a reload which fails changes
// nothing.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"graphrelay/internal/buildinfo"
	"graphrelay/internal/logfile"
	"graphrelay/internal/sealed"
	"graphrelay/relay/access"
	"graphrelay/relay/admin"
	"graphrelay/relay/alert"
	"graphrelay/relay/attention"
	"graphrelay/relay/certificate"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/console"
	"graphrelay/relay/credential"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/devices"
	"graphrelay/relay/flow"
	"graphrelay/relay/gossip"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/quota"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
	"graphrelay/relay/reports"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/tracing"
	"graphrelay/relay/trial"
	"graphrelay/relay/verdict"
)

// drainTime is how long a stop or a reload waits for messages that are arriving or
// being sent.
const drainTime = 20 * time.Second

// stopGrace is how much longer than drainTime a stop may take. What does not end by then waits
// for something that does not come, such as the answer of a disk.
const stopGrace = 5 * time.Second

// Relay is a running graphrelay.
type Relay struct {
	logTo           io.Writer // without a log file, and for what that does not take
	about           buildinfo.Info
	node            queue.Node
	store           *queue.Queue
	registry        *prometheus.Registry
	smtpMetrics     *smtpd.Metrics
	deliveryMetrics *delivery.Metrics
	graphMetrics    *graphmail.Metrics
	reportMetrics   *reports.Metrics
	reloaded        prometheus.Gauge
	traces          traces
	fault           chan error
	reloadFault     atomic.Value // string: why the last reload failed, or ""
	attention       *attention.Evaluator
	alerts          *alert.Manager
	stopWatching    func()

	// These outlive a reload.
	waiters    *verdict.Waiters
	rates      *access.Rates
	quota      *quota.Counter
	guard      *access.Guard
	refusals   *refusals.Log
	devices    *devices.List
	activities *connection.Activities
	trials     *trial.Runner
	limiter    *smtpd.ConnectionLimiter
	connectKey admin.ConnectKey
	verify     *access.Verifications
	operators  *operators.State
	api        http.Handler
	principals *connection.Principals
	managed    credential.Stores
	gossip     *gossip.Exchange // nil if the queue is not shared
	elsewhere  *elsewhere       // likewise
	differing  differing
	flow       *flow.Recorder
	console    *console.Console

	swapping sync.Mutex // held by swap
	mu       sync.Mutex
	current  *generation
	logFile  *logfile.File      // of the current one; nil: none
	sockets  map[string]*socket // by configured address
	file     string             // of the configuration
	reload   func() error       // nil: there is no file
	stopping bool               // no further generation starts
	replaced sync.WaitGroup     // generations that are being stopped because of a reload
}

// Start opens the queue and starts to accept and deliver mail. The log goes to
// logTo in the form that cfg says.
func Start(ctx context.Context, cfg *config.Config, logTo io.Writer) (_ *Relay, err error) {
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
	log := NewLog(logWriter(file, logTo), cfg.Log)
	fault := make(chan error, 1)
	store, err := openQueue(ctx, cfg, true, func(err error) { report(fault, err) }, func(text string) { log.Warn(text) })
	if err != nil {
		return nil, err
	}
	if err := store.Closed(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	r := &Relay{
		logTo: logTo, logFile: file, about: buildinfo.Read(), node: node, store: store, waiters: verdict.NewWaiters(), rates: access.NewRates(), quota: quota.New(store), guard: access.NewGuard(), refusals: refusals.New(), activities: connection.NewActivities(), trials: trial.New(), connectKey: sealed.NewKey(), limiter: smtpd.NewConnectionLimiter(connectionLimits(cfg)), principals: connection.NewPrincipals(),
		registry: prometheus.NewRegistry(), fault: fault, sockets: map[string]*socket{}, verify: access.NewVerifications(),
	}
	r.devices = devices.New(devices.Options{Storage: deviceStorage(cfg, store), Audit: store.SetAudit, Log: r.Log})
	r.operators = operators.NewState(r.verify, store.SetAudit)
	r.register()
	r.openAlerts(cfg, log)
	if r.api, err = r.newAPI(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	r.flow = flow.New(r.registry, time.Now)
	r.console = console.New(console.Config{Ops: r.Operations(), Live: r, Configuration: inUse{r}, Edge: r, SignIns: r, Hostname: cfg.Hostname, Version: r.about.Version,
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
		NewLog(logTo, cfg.Log).Error("the devices that operators have allowed are refused", "error", err)
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

// generation returns the generation in use.
func (r *Relay) generation() *generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// Log returns the logger of the configuration in use.
func (r *Relay) Log() *slog.Logger { return r.generation().log }

// errStopping means that the relay was stopped during a reload.
var errStopping = errors.New("the relay is stopping")

// Reload replaces the configuration with cfg. After an error the relay goes on
// with the old one. data_dir cannot change, since the queue stays where it is.
func (r *Relay) Reload(cfg *config.Config) error {
	err := fixed(r.generation().cfg, cfg)
	if err == nil {
		err = r.swap(cfg)
	}
	if err != nil {
		r.reloadFailed(err)
	}
	return err
}

func (r *Relay) reloadFailed(err error) {
	r.reloadFault.Store(err.Error())
	r.reloaded.Set(0)
}

// fixed returns an error if the configurations differ in what a reload cannot change.
func fixed(old, cfg *config.Config) error {
	if cfg.Queue.URL.Reveal() != old.Queue.URL.Reveal() {
		return errors.New("queue.url cannot change while graphrelay runs; restart it")
	}
	if cfg.DataDir != old.DataDir {
		return fmt.Errorf("data_dir cannot change from %s to %s while graphrelay runs; restart it", old.DataDir, cfg.DataDir)
	}
	return nil
}

// ReloadFile replaces the configuration with that of the file. It logs the result, and opens the
// log file again before, so that another program can rotate it.
func (r *Relay) ReloadFile(path string) error {
	r.reopenLog()
	cfg, err := config.Load(path)
	if err != nil {
		r.reloadFailed(err)
	} else {
		err = r.Reload(cfg)
	}
	if err != nil {
		r.Log().Error("cannot reload the configuration; the previous one stays in use", "error", err)
		return err
	}
	r.Log().Info("configuration reloaded")
	return nil
}

// DiffFile returns in what the configuration of the file differs from the one in use.
func (r *Relay) DiffFile(path string) ([]config.Change, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	old := r.generation().cfg
	return config.Diff(old, cfg), fixed(old, cfg)
}

// swap builds the next generation and, only once that is complete, ends the previous
// one. For a moment both deliver; they share the limits of each mailbox.
func (r *Relay) swap(cfg *config.Config) error {
	r.swapping.Lock()
	defer r.swapping.Unlock()
	r.mu.Lock()
	before := r.logFile
	r.mu.Unlock()
	file, err := openLog(cfg.Log, before, r.logTo)
	if err != nil {
		return err
	}
	next, err := r.build(cfg, NewLog(logWriter(file, r.logTo), cfg.Log))
	if err != nil {
		closeLog(file, before)
		return err
	}
	r.mu.Lock()
	previous := r.current
	err = errStopping
	if !r.stopping {
		err = r.openSockets(cfg)
	}
	if err != nil {
		r.mu.Unlock()
		closeLog(file, before)
		return errors.Join(err, next.closeMailboxes())
	}
	if previous != nil {
		next.inherit(previous)
	}
	if err := next.policy.RestoreRates(context.Background(), r.store); err != nil {
		next.log.Error("cannot read from the queue what was accepted today; the rates start from zero", "error", err)
	}
	r.guard.Configure(cfg.Limits.AuthFailures, time.Duration(cfg.Limits.AuthBlock))
	r.operators.Configure(cfg.Limits.AuthFailures, time.Duration(cfg.Limits.AuthBlock))
	r.limiter.SetLimits(connectionLimits(cfg))
	r.refusals.Retain(listenerNames(cfg))
	r.quota.SetLimits(dailyLimits(cfg), next.log)
	r.current, r.logFile = next, file
	if file != nil {
		file.SetRotation(rotation(cfg.Log))
	}
	next.start(r, r.sockets)
	if previous != nil {
		r.replaced.Add(1)
		defer r.replaced.Done()
	}
	r.mu.Unlock()
	r.devices.Reconfigure(cfg)
	hasConnection := func(name string) bool { return cfg.ConnectionOf("", name) != nil }
	r.activities.Retain(hasConnection)
	r.trials.Retain(hasConnection)
	r.alerts.Apply(alertSettings(cfg, r.node, next.log))
	for _, w := range cfg.Warnings() {
		next.log.Warn(w)
	}
	warnOfFiles(next.log, cfg, mostFiles())
	warnOfDirectory(next.log, cfg.DataDir)
	r.reloaded.Set(1)
	r.reloadFault.Store("")
	if previous != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		previous.stop(ctx)
		closeLog(before, file)
		if err := r.resumeConnections(ctx); err != nil {
			next.log.Error("cannot end the pauses of connections", "error", err)
		}
	}
	return r.closeSockets(cfg)
}

// resumeConnections ends the pauses of connections that were refused: the new
// configuration may have what they lacked.
func (r *Relay) resumeConnections(ctx context.Context) error {
	lanes, err := r.store.Lanes(ctx)
	for _, l := range lanes {
		if l.Mailbox == "" && l.PausedFor != reason.Operator {
			err = errors.Join(err, r.store.Resume(ctx, l.Lane))
		}
	}
	return err
}

func addresses(cfg *config.Config) map[string]bool {
	set := map[string]bool{cfg.Admin.Address: true}
	for _, l := range cfg.Listeners {
		set[l.Address] = true
	}
	return set
}

// openSockets opens the sockets that the configuration needs and that are not open
// yet. After an error none of those stays open.
func (r *Relay) openSockets(cfg *config.Config) error {
	var opened []string
	for address := range addresses(cfg) {
		if r.sockets[address] != nil {
			continue
		}
		s, err := listen(address)
		if err != nil {
			for _, a := range opened {
				_ = r.sockets[a].l.Close()
				delete(r.sockets, a)
			}
			return fmt.Errorf("listen on %s: %w; %s", address, err, listenRemedy(err))
		}
		s.new = true
		r.sockets[address] = s
		opened = append(opened, address)
	}
	return nil
}

// closeSockets closes the sockets that cfg does not use; all if cfg is nil.
func (r *Relay) closeSockets(cfg *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := map[string]bool{}
	if cfg != nil {
		used = addresses(cfg)
	}
	var errs []error
	for address, s := range r.sockets {
		if !used[address] {
			errs = append(errs, s.l.Close())
			delete(r.sockets, address)
		}
	}
	return errors.Join(errs...)
}

// Address returns the address on which a configured address listens: its port may be
// 0 in the configuration.
func (r *Relay) Address(configured string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sockets[configured].l.Addr().String()
}

// ready returns why no mail can be accepted, or nil.
func (r *Relay) ready() error {
	limits := queueLimits(r.generation().cfg)
	return r.store.CheckCapacity(context.Background(), 0, limits, queue.Origin{})
}

// failed records that a part ended which should not have. It ignores nil.
func (r *Relay) failed(err error) {
	if err != nil {
		report(r.fault, err)
	}
}

// report sends err unless an error is waiting already: one is enough to end the relay.
func report(fault chan<- error, err error) {
	select {
	case fault <- err:
	default:
	}
}

// Failed returns a channel that receives the error of a part that ended by itself, or of the
// queue when its storage is broken. The relay should then be stopped: only another process
// can go on.
func (r *Relay) Failed() <-chan error { return r.fault }

// Stop stops the relay. It accepts no new connections and lets messages that are
// arriving or being sent finish within drainTime; the others stay in the queue. It does not
// wait for a reload, unless that has begun to stop the generation before.
func (r *Relay) Stop() error {
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	select {
	case err := <-stopped:
		return err
	case <-time.After(drainTime + stopGrace):
		return errors.New("a part of the relay does not end, perhaps since the disk does not answer; what it was at stays in the queue")
	}
}

func (r *Relay) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	r.stopWatching()
	r.mu.Lock()
	r.stopping = true
	g, file := r.current, r.logFile
	r.mu.Unlock()
	g.stop(ctx)
	r.replaced.Wait()
	r.trials.Close(ctx)
	r.devices.Stop()
	g.saveKnown()
	err := errors.Join(r.closeSockets(nil), r.leave(g.log), r.store.Close())
	r.traces.close()
	closeLog(file, nil)
	return err
}

// leave ends this node's lease, so that others need not wait for that. While the database cannot
// be reached they have to, which is no fault of the stop.
func (r *Relay) leave(log *slog.Logger) error {
	if !r.store.Shared() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	err := r.store.Leave(ctx, r.node.ID)
	if errors.Is(err, queue.ErrAway) || errors.Is(err, queue.ErrUnknown) {
		log.Warn("cannot tell the queue that this relay stops; the others take over when its lease has ended", "error", err)
		return nil
	}
	return err
}
