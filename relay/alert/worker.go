package alert

import (
	"context"
	"errors"
	"slices"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// state is the pace of a channel.
type state struct {
	wake  chan struct{}
	sent  []time.Time // within the last hour
	fails int         // in a row
	until time.Time   // no try before then
}

func (s *state) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// worker tells one channel.
type worker struct {
	m       *Manager
	channel Channel
	state   *state
}

const (
	// giveUp is how long a channel is told of something after it happened.
	giveUp = 24 * time.Hour
	// idle is how long a worker waits that has nothing to do. It is woken after each look.
	idle = time.Minute
)

var delays = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := w.pump(ctx)
		select {
		case <-ctx.Done():
		case <-w.state.wake:
		case <-time.After(wait):
		}
	}
}

// pump tells what is to be told now, and returns how long there is nothing to do.
func (w *worker) pump(ctx context.Context) time.Duration {
	w.follow(ctx)
	for ctx.Err() == nil {
		now := time.Now()
		if wait := w.state.until.Sub(now); wait > 0 {
			return wait
		}
		job, wait := w.next(ctx, now)
		if job == nil {
			return wait
		}
		w.done(ctx, job, w.send(ctx, job))
	}
	return 0
}

// job is one message to the channel, about one incident or several.
type job struct {
	notice notice
	of     []entry
	told   []*Told    // the channel's, of each
	over   []bool     // whether each was over
	lane   queue.Lane // of a mail
	id     string     // of a mail
	err    error      // why it cannot be sent
}

// entry is an incident in its book.
type entry struct {
	*Incident
	book *book
}

// next returns the next message, or how long there is none.
func (w *worker) next(ctx context.Context, now time.Time) (*job, time.Duration) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	s := w.state
	s.sent = slices.DeleteFunc(s.sent, func(t time.Time) bool { return now.Sub(t) >= time.Hour })
	pending := w.pending(ctx, now)
	if len(pending) == 0 {
		return nil, idle
	}
	room := w.m.settings.PerHour - len(s.sent)
	if room <= 0 {
		return nil, min(max(time.Hour-now.Sub(s.sent[0]), time.Second), idle)
	}
	j := &job{of: pending[:1]}
	switch begun := w.begun(pending); {
	case len(begun) > 0:
		j.of = begun
	case room == 1: // the last one of this hour stands for all
		j.of = pending
	}
	for _, e := range j.of {
		j.told, j.over = append(j.told, w.toldOf(e)), append(j.over, !e.open())
	}
	j.notice = noticeOf(&w.m.settings, j.of[0].Incident, now)
	if len(j.of) > 1 {
		j.notice = summaryOf(&w.m.settings, j.of, now)
	}
	if w.channel.mail() {
		w.prepare(ctx, j, now)
	}
	return j, 0
}

// begun returns those of a mail that may be queued already: it has to be about the same again.
func (w *worker) begun(pending []entry) (same []entry) {
	id := ""
	for _, e := range pending {
		if t := w.toldOf(e); t.Next != "" && (id == "" || t.Next == id) {
			id, same = t.Next, append(same, e)
		}
	}
	return same
}

// pending returns the incidents that the channel has to be told of, oldest first. It records as
// told those that are too old to be told.
func (w *worker) pending(ctx context.Context, now time.Time) (list []entry) {
	for _, b := range w.m.books() {
		for _, i := range b.incidents {
			e := entry{i, b}
			if !w.due(i) {
				continue
			}
			since := i.Opened
			if !i.open() {
				since = i.Closed
			}
			if now.Sub(since) <= giveUp || i.open() {
				list = append(list, e)
				continue
			}
			w.toldOf(e).Opened, w.toldOf(e).Closed = true, true
			b.changed(i)
			w.m.metrics.count(w.channel.Name, resultDropped)
			w.m.settings.Log.Error("an alert was given up", "channel", w.channel.Name, "reference", i.Ref, "condition", i.ID)
		}
		w.m.report(ctx, b.save(ctx))
	}
	slices.SortStableFunc(list, func(a, b entry) int { return a.Opened.Compare(b.Opened) })
	return list
}

// due reports whether the channel has to be told of an incident, or that it is over.
func (w *worker) due(i *Incident) bool {
	t := i.Told[w.channel.Name]
	switch {
	case i.ID == digestID:
		return w.channel.mail() && (t == nil || !t.Opened)
	case !w.channel.wants(i.Severity), !w.m.settings.Sends(i.ID):
		return false
	case i.open():
		return t == nil || !t.Opened
	}
	return t == nil || !t.Closed
}

func (w *worker) toldOf(e entry) *Told {
	t := e.Told[w.channel.Name]
	if t == nil {
		t = &Told{}
		e.Told[w.channel.Name] = t
	}
	return t
}

// prepare gives a mail its queue ID and mailbox, which are recorded first: a process that finds
// them knows that the mail may be queued already.
func (w *worker) prepare(ctx context.Context, j *job, now time.Time) {
	first := j.told[0]
	if first.Next == "" {
		id, via := queue.NewID(now), w.m.choose(ctx, w.channel, first.Via)
		for n, t := range j.told {
			t.Next, t.Via = id, via
			j.of[n].book.changed(j.of[n].Incident)
		}
	}
	j.err = w.save(ctx, j)
	j.id, j.lane = first.Next, w.channel.From[min(first.Via, len(w.channel.From)-1)]
}

func (w *worker) save(ctx context.Context, j *job) error {
	var err error
	for _, e := range j.of {
		if e2 := e.book.save(ctx); e2 != nil {
			err = e2
		}
	}
	return err
}

// errRetry has a time before which it is of no use to try again.
type errRetry struct {
	error
	after time.Duration
}

func (w *worker) send(ctx context.Context, j *job) error {
	if j.err != nil {
		return j.err
	}
	if w.channel.mail() {
		return w.m.queue.Submit(ctx, submission(j.notice, w.channel, j.lane, j.id))
	}
	after, err := post(ctx, w.channel, j.notice)
	if err != nil && after > 0 {
		return errRetry{err, after}
	}
	return err
}

// done records the result.
func (w *worker) done(ctx context.Context, j *job, err error) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	s, log := w.state, w.m.settings.Log
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		wait := delays[min(s.fails, len(delays)-1)]
		var later errRetry
		if errors.As(err, &later) {
			wait = max(wait, min(later.after, time.Hour))
		}
		s.fails++
		s.until = time.Now().Add(wait)
		w.m.metrics.count(w.channel.Name, resultFailed)
		log.Warn("an alert could not be sent; it is tried again", "channel", w.channel.Name, "reference", j.notice.Ref, "tries", s.fails, "error", err)
		return
	}
	s.fails = 0
	s.sent = append(s.sent, time.Now())
	w.m.metrics.count(w.channel.Name, resultOK)
	for n, e := range j.of {
		t := j.told[n]
		t.Opened, t.Closed = true, j.over[n]
		t.Mail, t.Next, t.Settled = t.Next, "", false
		if n > 0 {
			w.m.metrics.count(w.channel.Name, resultSuppressed)
		}
		e.book.changed(e.Incident)
	}
	w.m.report(ctx, w.save(ctx, j))
	log.Info("alert", "channel", w.channel.Name, "reference", j.notice.Ref, "event", j.notice.Event, "incidents", len(j.of), "message", j.id)
}

// follow looks after mail that was queued. One that cannot be sent is taken back and sent by the
// next mailbox, unless it may have been sent.
func (w *worker) follow(ctx context.Context) {
	if !w.channel.mail() {
		return
	}
	for id, via := range w.unsettled() {
		r, _, err := w.m.queue.Get(ctx, id)
		switch {
		case errors.Is(err, queue.ErrNotFound), err == nil && (r.State.Left() || r.State == queue.Deleted):
			w.settle(ctx, id, false)
		case err == nil && via+1 < len(w.channel.From) && w.stuck(ctx, r):
			w.settle(ctx, id, true)
		}
	}
}

// unsettled returns the mail that is on its way, with the numbers of the mailboxes.
func (w *worker) unsettled() map[string]int {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	list := map[string]int{}
	for _, b := range w.m.books() {
		for _, i := range b.incidents {
			if t := i.Told[w.channel.Name]; t != nil && t.Mail != "" && !t.Settled {
				list[t.Mail] = t.Via
			}
		}
	}
	return list
}

// stuck reports whether a mail cannot be sent, and takes it back.
func (w *worker) stuck(ctx context.Context, r queue.Record) bool {
	switch r.State {
	case queue.Failed:
		return true
	case queue.Deferred, queue.Queued:
		if paused, err := w.m.queue.Paused(ctx, r.Lane); err != nil || !paused || r.Progress.InDoubt || r.Reason == reason.Confirming {
			return false
		}
	case queue.Held:
		if r.Reason == reason.SendUnknown || r.Progress.InDoubt {
			return false
		}
	default:
		return false
	}
	return w.m.queue.Apply(ctx, r.ID, queue.Delete, "alerts, which sends it by another mailbox") == nil
}

// settle records that nothing more is to be done for a mail; with again, that what it was about is
// to be sent once more, by the next mailbox.
func (w *worker) settle(ctx context.Context, id string, again bool) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if again {
		w.m.settings.Log.Warn("an alert cannot be sent by its mailbox; the next one sends it", "channel", w.channel.Name, "message", id)
	}
	for _, b := range w.m.books() {
		for _, i := range b.incidents {
			t := i.Told[w.channel.Name]
			if t == nil || t.Mail != id {
				continue
			}
			t.Settled = true
			if again {
				t.Opened, t.Closed, t.Mail, t.Via = false, false, "", t.Via+1
			}
			b.changed(i)
		}
		w.m.report(ctx, b.save(ctx))
	}
}

// choose returns which mailbox of the channel sends: the first from the given one on that is not
// paused and has no incident; that one if all have.
func (m *Manager) choose(ctx context.Context, c Channel, from int) int {
	for n := from; n < len(c.From); n++ {
		if !m.troubled(ctx, c.From[n]) {
			return n
		}
	}
	return min(from, len(c.From)-1)
}

func (m *Manager) troubled(ctx context.Context, l queue.Lane) bool {
	if paused, err := m.queue.Paused(ctx, l); err == nil && paused {
		return true
	}
	for _, c := range m.evaluator.Conditions() {
		switch c.ID {
		case "ConnectionPaused", "SignInFails":
			if c.Subject == l.Connection {
				return true
			}
		case "MailboxRefused", "MailboxPaused":
			if slices.Contains(c.Examples, l.Mailbox) || slices.Contains(c.Examples, l.String()) {
				return true
			}
		}
	}
	return false
}
