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
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/buildinfo"
	"graphrelay/internal/fair"
	"graphrelay/internal/logfile"
	"graphrelay/relay/access"
	"graphrelay/relay/admin"
	"graphrelay/relay/alert"
	"graphrelay/relay/attention"
	"graphrelay/relay/connection"
	"graphrelay/relay/console"
	"graphrelay/relay/credential"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/devices"
	"graphrelay/relay/flow"
	"graphrelay/relay/gossip"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/quota"
	"graphrelay/relay/refusals"
	"graphrelay/relay/reports"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/trial"
	"graphrelay/relay/verdict"
)

// drainTime is how long a stop or a reload waits for messages that are arriving or
// being sent.
const drainTime = 20 * time.Second

// stopGrace is how much longer than drainTime a stop may take. What does not end by then waits
// for something that does not come, such as the answer of a disk.
const stopGrace = 5 * time.Second

// A stop tries for leaveTime to reach the database, with pauses of reachEvery.
const (
	leaveTime  = 3 * time.Second
	reachEvery = 250 * time.Millisecond
)

// Relay is a running graphrelay.
type Relay struct {
	logTo           io.Writer // without a log file, and for what that does not take
	logAlso         []slog.Handler
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
	turns      *fair.Slots[string] // of operators' questions to the queue
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

// generation returns the generation in use.
func (r *Relay) generation() *generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// Log returns the logger of the configuration in use.
func (r *Relay) Log() *slog.Logger { return r.generation().log }

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
	r.alerts.Stop() // only now: a reload that was under way has begun with its channels
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
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	err := untilReached(ctx, func() error { return r.store.Leave(ctx, r.node.ID) })
	if isAway(err) {
		log.Warn("cannot tell the queue that this relay stops; the others take over when its lease has ended", "error", err)
		return nil
	}
	return err
}

// untilReached repeats what the database could not be reached for, until the context ends: a moment
// of that must not cost a whole lease.
func untilReached(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !isAway(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(reachEvery):
		}
	}
}

func isAway(err error) bool {
	return errors.Is(err, queue.ErrAway) || errors.Is(err, queue.ErrUnknown)
}
