// Package delivery takes messages from the queue to an Outlet, which sends them. It claims
// what is due, fairly across lanes, and decides what becomes of each message: sent, tried
// again, given up with a notification to its sender, or held for an operator.
//
// It promises that every message comes to one of these ends, and that one lane that is
// throttled, slow or broken does not hold up another. That no message is sent twice is the
// promise of the outlet, whose progress it keeps.
package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/mime"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/verdict"
)

// Config is what an operator sets.
type Config struct {
	Node        queue.Node      // this process, without Lease and Seen
	Lease       time.Duration   // for how long its claims last if they are not renewed; 0: DefaultLease
	Host        string          // this relay's name, in notifications
	Concurrency int             // messages of responsive lanes in delivery at a time
	Memory      int64           // bytes that these hold together, and half as much again the others; 0: DefaultMemory
	PerLane     int             // messages of one responsive lane in delivery at a time; see slots for the others
	RetryDelays []time.Duration // between attempts; the last one repeats
	GiveUpAfter time.Duration   // from receipt
	WarnAfter   time.Duration   // from receipt, until the sender is warned of the delay; 0: never
	SweepEvery  time.Duration   // between cleanups, and between checks for overdue messages
	Waiters     *verdict.Waiters
	MIME        mime.Limits // of what a notification returns
	// Postmaster is the lane that notifications go by; the zero Lane stands for that of
	// the message that they are about.
	Postmaster queue.Lane
	// BounceCopy is the address that gets every bounce too; empty: nobody does.
	BounceCopy string
	// NotifyAt returns where the notifications for an envelope sender go; nil: to the
	// sender.
	NotifyAt func(sender string) string
	// Serves and Private are those of queue.Claim.
	Serves, Private func(l queue.Lane) bool
	// Sent is called for each message that was sent, once that is recorded, with the time since
	// its receipt; it may be nil.
	Sent func(l queue.Lane, to []string, took time.Duration)
	// KeepsContent reports whether the content of a message that was sent is kept for now, so that
	// it can be sent again to recipients who turn out not to have it. refused: the message was not
	// sent to some of them. nil: no content is kept.
	KeepsContent func(l queue.Lane, refused bool) bool
	// Tracer makes a trace of each message; nil: there is none.
	Tracer Tracer
	// LogRecipients has the log name the recipients and the Message-ID of what was sent.
	LogRecipients bool
}

// Tracer makes traces of messages.
type Tracer interface {
	// Attempt begins an attempt. The context that it returns tells of the requests that are made
	// (package calls). end is called with what becomes of the message, and how it was sent.
	Attempt(ctx context.Context, m queue.Record) (_ context.Context, end func(o queue.Outcome, path string))
}

// Queue is the part of the queue that a Deliverer works with.
type Queue interface {
	queue.Work
	queue.Warnings
	queue.Cleanups
	// List and Get are those of queue.Inspector.
	List(ctx context.Context, f queue.Filter) ([]queue.Record, error)
	Get(ctx context.Context, id string) (queue.Record, []queue.Event, error)
}

// Deliverer delivers from one queue by one outlet. Its fields do not change while it runs.
type Deliverer struct {
	cfg      Config
	work     Queue
	outlet   Outlet
	notifier bounce.Notifier
	slots    *slots
	metrics  *Metrics
	log      *slog.Logger

	// Of this process as a node of a queue that is shared.
	tenure   tenure
	touched  touched
	draining atomic.Bool
}

// New returns a Deliverer, which does nothing until Run.
func New(cfg Config, work Queue, outlet Outlet, m *Metrics, log *slog.Logger) *Deliverer {
	cfg.Lease = cmp.Or(cfg.Lease, DefaultLease)
	return &Deliverer{cfg: cfg, work: work, outlet: outlet, slots: newSlots(cfg, outlet.Needs), metrics: m, log: log,
		notifier: bounce.Notifier{Host: cfg.Host, Postmaster: cfg.Postmaster, To: cfg.NotifyAt, Copy: cfg.BounceCopy, GiveUpAfter: cfg.GiveUpAfter}}
}

const (
	// pollEvery is how often to look for what another process (the queue commands) changed.
	pollEvery = time.Second
	// pollShared is how often to look for what other nodes have accepted.
	pollShared = 200 * time.Millisecond
	// gather is the wait between the end of a delivery and the claim that follows it, so
	// that one claim follows several ends: it costs as much as each of them. A lane that may
	// have several requests at a time has its next messages ready meanwhile. It is also the
	// least time between two claims for new messages.
	gather = 5 * time.Millisecond
	// mostAtOnce is how many messages of responsive lanes, and of the others, one claim takes:
	// a claim holds up all that write to the queue.
	mostAtOnce = 64
)

// Run delivers until ctx is done. Then it claims no more, and messages in delivery have
// until drain to come to an end.
func (d *Deliverer) Run(ctx context.Context, drain time.Duration) {
	hard, abandon := context.WithCancel(context.WithoutCancel(ctx))
	var lease sync.WaitGroup
	defer lease.Wait() // what follows may end this node, which a renewal under way would make known again
	defer abandon()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drain, abandon) })
	defer stop()
	d.takeOver(ctx, hard)

	var wg sync.WaitGroup
	defer wg.Wait()
	lease.Go(func() { d.keepLease(hard) })
	wg.Go(func() { every(ctx, d.cfg.SweepEvery, d.cleanUp) })
	wg.Go(func() { every(ctx, d.cfg.SweepEvery, d.warnOfDelays) })
	claims := recurring{fault: "cannot claim from the queue", over: "claims from the queue again"}
	for ctx.Err() == nil {
		claimed := time.Now()
		wait, err := d.claim(ctx, hard, &wg)
		if ctx.Err() == nil {
			claims.note(d.log, err)
		}
		select {
		case <-ctx.Done():
		case <-d.work.Wake():
			time.Sleep(gather - time.Since(claimed))
		case <-d.slots.changed:
			time.Sleep(gather)
		case <-time.After(wait):
		}
	}
}

// takeOver frees what an earlier process had claimed. A queue that cannot be written to is
// asked again until it can: its disk may be full, or have failed.
func (d *Deliverer) takeOver(ctx, hard context.Context) {
	fault := recurring{fault: "cannot begin to deliver, trying again", over: "begins to deliver"}
	for ctx.Err() == nil {
		err := d.renew(ctx, hard)
		if ctx.Err() == nil {
			fault.note(d.log, err)
		}
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// claim starts the delivery of messages that are due, as far as there are free slots. It
// returns how long to wait until the next claim.
func (d *Deliverer) claim(ctx, hard context.Context, wg *sync.WaitGroup) (time.Duration, error) {
	if !d.tenure.held() {
		return pollEvery, nil
	}
	c := d.slots.claim(time.Now())
	c.Serves, c.Private = d.cfg.Serves, d.cfg.Private
	if full(c) {
		return pollEvery, nil // the end of any delivery wakes us
	}
	c.Max, c.MaxUnresponsive = min(c.Max, mostAtOnce), min(c.MaxUnresponsive, mostAtOnce)
	work := d.tenure.work(hard)
	tasks, next, err := d.work.Claim(ctx, c)
	for _, t := range tasks {
		if t.Taken {
			d.resume(t)
		}
		d.touched.add(t.Tenure) // once the node counts what the one before has asked
		slot := d.slots.acquire(t.Record)
		wg.Go(func() {
			defer slot.release() // and wake Run: the queue's own wake-up comes before
			d.deliver(work, t, slot)
		})
	}
	if len(tasks) >= mostAtOnce {
		return 0, err
	}
	poll := pollEvery
	if d.work.Shared() {
		poll = pollShared
	}
	if until := next.Sub(d.work.Now()); err == nil && !next.IsZero() && until > 0 && until < poll {
		return until, nil
	}
	return poll, err
}

// every calls do at once and then at each interval until ctx is done.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}
