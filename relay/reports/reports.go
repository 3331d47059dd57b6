// Package reports finds the non-delivery reports that come to the Inbox of a mailbox after it
// has sent a message, and marks the message as returned.
//
// It promises that a report counts only if it names a message that this relay sent from that
// mailbox and a recipient of its envelope, that each recipient is recorded and its sender told
// of it once, whatever is read twice, and that the mailbox is left as it was: it only reads.
// What a report says is not proven, since anyone can write one who knows the Message-ID. All
// that a forged one can do is to mark a message.
package reports

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/bounded"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
)

// Config is how reports are looked for.
type Config struct {
	Interval time.Duration // between two looks into a mailbox
	// Watched reports whether the mailbox of a lane is looked into.
	Watched func(ctx context.Context, l queue.Lane) bool
	// Mailbox returns the mailbox of a lane.
	Mailbox  func(ctx context.Context, l queue.Lane) (Mailbox, error)
	Notifier bounce.Notifier
}

// Mailbox is the part of graph.Mailbox that is needed. Its methods only read.
type Mailbox interface {
	Inbox(ctx context.Context, since time.Time, limit int) (graph.Inbox, graph.Reply, error)
	Content(ctx context.Context, id string, limit int) ([]byte, graph.Reply, error)
}

// Watcher looks into the mailboxes that have sent lately.
type Watcher struct {
	cfg     Config
	queue   queue.Returns
	metrics *Metrics
	log     *slog.Logger

	mu    sync.Mutex
	lanes map[queue.Lane]*watch
	read  *bounded.Map[string, struct{}] // ids of reports that were read: they are not asked for again
}

// New returns a Watcher, which does nothing until Run.
func New(cfg Config, q queue.Returns, m *Metrics, log *slog.Logger) *Watcher {
	return &Watcher{cfg: cfg, queue: q, metrics: m, log: log, lanes: map[queue.Lane]*watch{}, read: bounded.New[string, struct{}](maxRead, nil)}
}

const (
	// lately is how long after a message was sent its mailbox is looked into. Exchange Online
	// gives up a message after a day.
	lately = 48 * time.Hour
	// served is how long ago a lane was served at most whose reports are looked for after the
	// relay was not running.
	served = 14 * 24 * time.Hour
	// overlap is how much of the time before the last look is looked at again: an item may
	// be shown late, and the clocks may differ.
	overlap = 30 * time.Minute
	// maxBackoff is the longest wait after a look that failed.
	maxBackoff = 6 * time.Hour
	// deniedBackoff is the shortest wait after access was denied. Exchange remembers that for
	// half an hour for an application that does not ask, and for longer for one that does
	// (Role Based Access Control for Applications).
	deniedBackoff = 35 * time.Minute
	maxRead       = 20_000
	maxLooks      = 4 // at a time
)

// watch is what is known of the reports in one mailbox. Only one look at a time uses it.
type watch struct {
	next     time.Time // the next look
	since    time.Time // what came before then has been seen
	failures int       // looks that failed in a row
	failed   graph.Reason
	pending  []pending
	tries    map[string]int // of items that could not be read, by id
}

// pending is a report about a message that is not known to have left.
type pending struct {
	item   graph.Received
	report report
}

// Run looks for reports until ctx is done.
func (w *Watcher) Run(ctx context.Context) {
	tick := max(min(w.cfg.Interval/10, time.Minute), 10*time.Millisecond)
	for ctx.Err() == nil {
		if err := w.round(ctx); err != nil && ctx.Err() == nil {
			w.log.Error("cannot find out which mailboxes have sent", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(tick):
		}
	}
}

// round looks into the mailboxes whose turn it is, those that have waited longest first.
func (w *Watcher) round(ctx context.Context) error {
	now := time.Now()
	lanes, err := w.queue.ServedLanes(ctx, now.Add(-served))
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxLooks)
	for _, d := range w.due(now, lanes) {
		if ctx.Err() != nil {
			break
		}
		if !w.cfg.Watched(ctx, d.lane) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			w.turn(ctx, d.lane, d.watch)
		})
	}
	wg.Wait()
	return nil
}

type dueLane struct {
	lane  queue.Lane
	watch *watch
}

// due returns the lanes whose turn it may be, and forgets those that are no longer served.
func (w *Watcher) due(now time.Time, lanes []queue.ServedLane) (due []dueLane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.lanes
	w.lanes = make(map[queue.Lane]*watch, len(known))
	for _, l := range lanes {
		x := known[l.Lane]
		if x == nil {
			x = &watch{since: later(l.ReportsRead, now.Add(-served)), tries: map[string]int{}}
			if l.ReportsRead.IsZero() {
				x.since = now.Add(-lately)
			}
		}
		if x.since.After(now) { // a clock that was wrong has recorded that
			x.since = now.Add(-lately)
		}
		w.lanes[l.Lane] = x
		if !l.Served.Add(lately).Before(x.since) && !now.Before(x.next) {
			due = append(due, dueLane{l.Lane, x})
		}
	}
	slices.SortFunc(due, func(a, b dueLane) int { return a.watch.next.Compare(b.watch.next) })
	return due
}

// turn looks into one mailbox, unless its lane is paused, and decides when to look again.
func (w *Watcher) turn(ctx context.Context, l queue.Lane, x *watch) {
	start := time.Now()
	paused, err := w.queue.Paused(ctx, l)
	more := false
	if err == nil && !paused {
		more, err = w.look(ctx, l, x, start)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		x.next = start.Add(w.backoff(l, x, err))
		return
	}
	wait := w.cfg.Interval
	if more {
		wait /= 5
	}
	x.failures, x.failed = 0, ""
	x.next = start.Add(wait + rand.N(wait/10+1))
}

// backoff returns how long to wait after a look that failed. It logs the first failure of each
// kind in a row.
func (w *Watcher) backoff(l queue.Lane, x *watch, err error) time.Duration {
	kind, asked := graph.WhyAndWhen(err)
	wait := min(w.cfg.Interval<<min(x.failures, 10), maxBackoff)
	advice := ""
	if graph.AccessDenied(err) {
		wait = max(wait, deniedBackoff)
		advice = "watch_reports needs Mail.Read or Mail.ReadWrite for this mailbox: grant it to the application, with admin consent, or by RBAC for Applications"
	}
	wait = max(wait, asked)
	if (x.failures == 0 || x.failed != kind) && !errors.Is(err, graph.ErrNotConnected) { // that is told where its mail waits
		w.log.Warn("cannot look for non-delivery reports", "lane", l.String(), "error", err, "advice", cmp.Or(advice, "none is needed if it passes"), "again in", wait.String())
	}
	x.failures, x.failed = x.failures+1, kind
	return wait
}
