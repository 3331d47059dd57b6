package delivery

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
	"graphrelay/relay/verdict"
)

// job is one claimed message on its way.
type job struct {
	d      *Deliverer
	client *graph.Client
	task   queue.Task
	owner  graph.User // of the mailbox; zero: not known
	unsure bool       // it may be known later
	p      progress
	before bool          // a draft may have existed before this try
	known  bool          // the queue has recorded that a draft may exist
	events []queue.Event // not yet recorded
	log    *slog.Logger

	body queue.Body
	plan *plan     // nil when the message is only being looked for
	made time.Time // when this try made the draft; zero: it did not

	refusal   *graph.Error // Graph's last one
	gaveUp    bool
	unbounced bool // it failed, and nobody can be told
	waiter    *verdict.Waiter
}

// pending is no failure: whether a send happened cannot be told yet.
type pending struct{ until time.Time }

func (pending) Error() string { return "waiting to see whether the message was sent" }

// unknowable: whether a send happened can never be told.
type unknowable struct{ detail string }

func (u unknowable) Error() string { return u.detail }

// run goes on from the recorded progress. nil means sent.
func (j *job) run(ctx context.Context) error {
	if j.p.Accepted {
		return j.removeCopy(ctx)
	}
	if !j.p.SendWanted.IsZero() {
		sent, err := j.resolve(ctx)
		if sent || err != nil {
			return err
		}
	}
	if !j.p.SendWanted.IsZero() && j.p.Path != pathSendMail {
		return j.send(ctx) // the draft is complete
	}
	if err := j.read(ctx); err != nil {
		return err
	}
	if j.p.Path == pathSendMail {
		return j.sendMail(ctx)
	}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	return j.send(ctx)
}

// read makes the plan from the stored message.
func (j *job) read(ctx context.Context) error {
	body, err := j.d.work.Open(ctx, j.task.ID)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	j.body = body
	if err := body.Check(); err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	s, err := openStored(body, j.task.Trace)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	msg, err := mime.Parse(s.message, s.message.Size(), j.d.cfg.MIME)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	j.sign(msg)
	if j.plan, err = makePlan(msg, s, j.task.Record, &j.d.cfg); err != nil {
		return err
	}
	if j.p.Path != "" && j.p.Path != j.plan.path {
		if err := j.leavePath(ctx); err != nil {
			return err
		}
	}
	j.p.Path = j.plan.path
	if j.task.Attempts <= 1 { // later tries would only say it again
		for _, n := range j.plan.notes {
			j.event("converted", n, graph.Reply{})
		}
	}
	return nil
}

func (j *job) readProgress() (err error) {
	if j.p, err = readProgress(j.task.Progress); err != nil {
		return fmt.Errorf("read the recorded progress: %w", err)
	}
	j.before, j.known = j.p.DraftWanted, j.p.DraftWanted || !j.p.LateDraft
	return nil
}

func (j *job) close() {
	if j.body != nil {
		_ = j.body.Close()
	}
}

// mailbox returns the lane's mailbox, by its owner's object ID where that is known.
func (j *job) mailbox() graph.Mailbox {
	return j.client.Mailbox(cmp.Or(j.owner.ID, j.task.Lane.Mailbox))
}

func (j *job) findOwner(ctx context.Context) {
	if j.d.cfg.Owner != nil {
		j.owner, j.unsure = j.d.cfg.Owner(ctx, j.task.Lane)
	}
}

func (j *job) connection() Connection { return j.d.cfg.Connections[j.task.Lane.Connection] }

func (j *job) event(what, detail string, r graph.Reply) {
	now := time.Now()
	if r.Status != 0 { // an answer, and of success
		j.d.slots.responded(j.task.Lane, now)
	}
	j.events = append(j.events, queue.Event{At: now, What: what, Detail: detail, RequestID: r.RequestID})
}

// save records progress and the events so far; a worker that lost its claim
// learns it here and goes no further.
func (j *job) save(ctx context.Context, what, detail string, r graph.Reply) error {
	j.event(what, detail, r)
	j.log.Debug(what, "detail", detail, "request_id", r.RequestID)
	return j.write(ctx)
}

func (j *job) write(ctx context.Context) error {
	err := j.d.work.Save(ctx, j.task.Ref, j.p.record(), j.events...)
	if err == nil {
		j.events, j.known = nil, j.p.DraftWanted
	}
	return err
}
