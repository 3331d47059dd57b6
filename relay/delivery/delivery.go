// Package delivery takes messages from the queue to Graph: it claims what is
// due, fairly across lanes, converts it, and walks it through draft,
// attachments and send. It is the only place where mime and graph meet.
//
// It promises that a message is sent at most once: each step is recorded before
// it is asked for, and an answer that was lost is resolved by looking at the
// mailbox, never by asking again. One lane that is throttled, slow or broken
// does not hold up another.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/signature"
	"graphrelay/relay/verdict"
)

// Config is what an operator sets.
type Config struct {
	Node          string          // names this process's claims
	Concurrency   int             // messages in delivery at a time, of lanes that answer
	PerLane       int             // of one of them; see slots for the others
	RetryDelays   []time.Duration // between tries; the last one repeats
	GiveUpAfter   time.Duration   // from receipt
	SendSettle    time.Duration   // how long a doubtful send is watched before it is repeated, and longer in a bulk run
	MIME          mime.Limits
	Waiters       *verdict.Waiters      // sessions that wait for the fate of their message; may be nil
	MessageIDHost string                // this relay's name: in bounces, and in the Message-ID given to a message that has none
	Connections   map[string]Connection // by name; one that is not named is the zero value
	XHeaders      []string              // patterns of the X- fields to carry, the most wanted first
	// BreakSignatures sends a signed or encrypted message that is too large for
	// MIME as JSON, its signature lost, instead of failing it.
	BreakSignatures bool
	// ResendUnknown sends again where it cannot be looked up whether a message was
	// sent, instead of holding it: a duplicate rather than a loss.
	ResendUnknown bool
	// Postmaster is the lane that bounces go by; the zero value stands for the lane of
	// the message that they are about.
	Postmaster queue.Lane
	// BounceTo says where the bounces to an envelope sender go; nil: to itself.
	BounceTo func(sender string) string
	// Owner is what the directory says of whose mailbox a lane is, the zero User if that is
	// not known, now (later) or at all; nil: of none. An alias is no key of Graph's paths,
	// and a lane may be one if the directory could not be asked.
	Owner     func(ctx context.Context, lane queue.Lane) (u graph.User, later bool)
	WarnAfter time.Duration // when the sender is told of a delay; 0: never
	TidyEvery time.Duration // between looks for what was left behind, or waits for long
	// Signatures are the templates by name, for messages that are to get one.
	Signatures map[string]*signature.Template
}

// Queue is what of the queue a Deliverer needs.
type Queue interface {
	queue.Work
	queue.Warnings
	queue.Cleanups
}

// Deliverer delivers from one queue. Its fields do not change while it runs.
type Deliverer struct {
	cfg     Config
	work    Queue
	clients Clients
	backlog *backlogs
	metrics *Metrics
	log     *slog.Logger
	slots   *slots

	notifier bounce.Notifier
}

// Clients finds the client of a lane's connection. The error says why there is none; one
// that wraps graph.ErrNotConnected, that there may be one later.
type Clients func(lane queue.Lane) (*graph.Client, error)

// New makes a deliverer.
func New(cfg Config, work Queue, clients Clients, m *Metrics, log *slog.Logger) *Deliverer {
	b := &backlogs{until: map[queue.Lane]time.Time{}}
	return &Deliverer{cfg: cfg, work: work, clients: clients, backlog: b, metrics: m, log: log, slots: newSlots(cfg),
		notifier: bounce.Notifier{Host: cfg.MessageIDHost, Postmaster: cfg.Postmaster, To: cfg.BounceTo, GiveUpAfter: cfg.GiveUpAfter}}
}

// Follow takes over what another deliverer knows of the mailboxes, before Run.
func (d *Deliverer) Follow(other *Deliverer) { d.backlog = other.backlog }

const (
	// lease is how long this node's claims hold without a sign of life.
	lease = time.Minute
	// pollEvery finds what another process (the queue commands) changed.
	pollEvery = time.Second
	// gather lets deliveries that end together be followed by one claim, which costs as
	// much as each of theirs. A lane that may have several requests at a time has its
	// next messages ready meanwhile.
	gather = 5 * time.Millisecond
)

// Run delivers until ctx is done. Then it claims no more, and messages that are
// under way have until drain to come to a good place to stop.
func (d *Deliverer) Run(ctx context.Context, drain time.Duration) error {
	if err := d.renew(ctx); err != nil {
		return err
	}
	hard, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drain, abandon) })
	defer stop()

	var wg sync.WaitGroup
	defer wg.Wait()
	go d.keepLease(hard)
	wg.Go(func() { every(ctx, d.cfg.TidyEvery, d.sweep) })
	wg.Go(func() { every(ctx, d.cfg.TidyEvery, d.warn) })
	for ctx.Err() == nil {
		wait, err := d.claim(ctx, hard, &wg)
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot claim from the queue", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-d.work.Wake():
		case <-d.slots.changed:
			time.Sleep(gather)
		case <-time.After(wait):
		}
	}
	return nil
}

// claim starts what is due as far as there is room, and returns how long to wait.
func (d *Deliverer) claim(ctx, hard context.Context, wg *sync.WaitGroup) (time.Duration, error) {
	c := d.slots.claim(time.Now())
	if c.Max <= 0 && c.MaxUnresponsive <= 0 {
		return pollEvery, nil // the end of any delivery wakes us
	}
	tasks, next, err := d.work.Claim(ctx, c)
	for _, t := range tasks {
		d.slots.acquire(t.Lane)
		wg.Go(func() {
			defer d.slots.release(t.Lane) // which wakes us: the queue's own wake-up comes before
			d.deliver(hard, t)
		})
	}
	if until := time.Until(next); err == nil && !next.IsZero() && until > 0 && until < pollEvery {
		return until, nil
	}
	return pollEvery, err
}

func (d *Deliverer) renew(ctx context.Context) error {
	n, err := d.work.Renew(ctx, d.cfg.Node, lease)
	if n > 0 {
		d.log.Warn("took over what another node had claimed", "messages", n)
	}
	return err
}

// every does something at once and from time to time until ctx is done.
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

func (d *Deliverer) keepLease(ctx context.Context) {
	tick := time.NewTicker(lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.renew(ctx); err != nil {
				d.log.Error("cannot renew the lease on claimed messages", "error", err)
			}
		}
	}
}

// deliver brings one claimed message to an outcome. A message that makes the
// program panic is held, so that it cannot take the others down with it.
func (d *Deliverer) deliver(ctx context.Context, t queue.Task) {
	j := &job{d: d, task: t, log: d.log.With("id", t.ID)}
	o := j.guarded(ctx)
	err := j.finish(ctx, o)
	j.answer(o, err)
	if err != nil {
		j.log.Warn("the outcome was not recorded", "state", o.State, "error", err)
		return
	}
	j.report(o)
}

// finish records the outcome, also when the program stops. It goes on trying while
// the store cannot write: a claim that is not ended is nobody else's to take up.
func (j *job) finish(ctx context.Context, o queue.Outcome) error {
	for {
		err := j.d.work.Finish(context.WithoutCancel(ctx), j.task.Ref, o)
		if err == nil || ctx.Err() != nil || errors.Is(err, queue.ErrFenced) || errors.Is(err, queue.ErrClosed) {
			return err
		}
		j.log.Error("cannot record the outcome, trying again", "state", o.State, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

func (j *job) guarded(ctx context.Context) (o queue.Outcome) {
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("delivery panicked", "panic", fmt.Sprint(r))
			o = j.end(queue.Held, reason.InternalError, "the program failed on this message; please report it")
		}
	}()
	if err := j.readProgress(); err != nil {
		o = j.end(queue.Held, reason.Storage, err.Error())
		o.Progress = j.task.Progress
		return o
	}
	client, err := j.d.clients(j.task.Lane)
	switch {
	case errors.Is(err, graph.ErrNotConnected):
		return j.end(queue.Held, reason.NotConnected, err.Error())
	case err != nil:
		return j.end(queue.Held, reason.ConnectionRemoved, err.Error())
	}
	j.client = client
	j.findOwner(ctx)
	defer j.close()
	o = j.outcome(ctx, j.run(ctx))
	if o.State == queue.Failed && j.removeDraft(ctx) {
		o = j.afterAll()
	}
	o = j.tellClient(o)
	o.Progress, o.Events, o.Cleanup = j.p.record(), j.events, j.leftover(o.State)
	return o
}

// report logs the change of state and counts it.
func (j *job) report(o queue.Outcome) {
	lane := j.task.Lane
	args := []any{"lane", lane.String(), "attempts", j.task.Attempts}
	if o.Notification != nil {
		args = append(args, "notification", o.Notification.ID)
	}
	j.d.metrics.ended(lane.Connection, o, j.unbounced)
	switch o.State {
	case queue.Sent:
		took := time.Since(j.task.Received)
		j.d.metrics.sent(lane.Connection, j.p.Path, took)
		j.log.Info("sent", append(args, "from", j.task.Envelope.From, "recipients", len(j.task.Envelope.To),
			"size", j.task.Size, "path", j.p.Path, "seconds", took.Seconds())...)
	case queue.Failed:
		j.log.Error("failed", append(args, "reason", o.Reason, "detail", o.Detail)...)
	case queue.Held:
		j.log.Error("held", append(args, "reason", o.Reason, "detail", o.Detail)...)
	case queue.Deferred:
		j.log.Warn("deferred", append(args, "reason", o.Reason, "detail", o.Detail, "until", o.Due.Format(time.RFC3339))...)
	case queue.Queued:
		j.log.Info("given back", args...)
	}
}

// retryDelay is the wait after so many tries, with up to a tenth more so that
// messages which failed together do not come back together.
func (d *Deliverer) retryDelay(attempts int) time.Duration {
	delays := d.cfg.RetryDelays
	base := delays[min(max(attempts, 1), len(delays))-1]
	return base + rand.N(base/10+1)
}
