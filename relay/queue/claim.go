package queue

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/reason"
)

// Claim implements Work.
func (q *Queue) Claim(ctx context.Context, c Claim) (tasks []Task, next time.Time, err error) {
	q.share.setPrivate(c.Private)
	now := q.clock.Now()
	next, err = q.storage.NextDue(ctx, c.Node)
	if err != nil || next.IsZero() || next.After(now) { // spares the writer a transaction
		return nil, next, err
	}
	if tasks, err = q.claim(ctx, c); err != nil {
		return nil, time.Time{}, err
	}
	next, err = q.storage.NextDue(ctx, c.Node)
	return tasks, next, err
}

func (q *Queue) claim(ctx context.Context, c Claim) (tasks []Task, err error) {
	q.claiming.Lock()
	defer q.claiming.Unlock()
	var given int
	err = q.storage.Update(ctx, func(tx Tx) error {
		now := q.clock.Now()
		ready, err := q.ready(tx, now, c)
		if err == nil && q.Shared() {
			ready, given, err = q.share.choose(tx.(SharedTx), c, ready, now)
		}
		if err == nil {
			tasks, err = claimEvenly(tx, now, c, capped(ready, c))
		}
		return err
	})
	if errors.Is(err, ErrUnknown) {
		q.lost.note()
	}
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		q.lost.began(t.Ref)
	}
	q.share.gave(given)
	return tasks, nil
}

// ready returns lanes that are ready, as many as the claim needs.
func (q *Queue) ready(tx Tx, now time.Time, c Claim) (lanes []ReadyLane, err error) {
	if !q.Shared() {
		return q.turns.ready(tx, now, c)
	}
	err = tx.ReadyLanes(now, c.Node, Turn{}, func(l ReadyLane) bool {
		lanes = append(lanes, l)
		return true
	})
	return lanes, err
}

// maxPassed is how many lanes one look at the order of turns passes over: those with nothing
// more to claim at present, and those that have messages in delivery already.
const maxPassed = 256

// turns finds the lanes that a claim needs without reading all that are ready. Lanes that a
// claim has no slots for, because they do not respond, may come first by the thousand. So it
// looks at the first, and then goes on from where the last claim stopped.
type turns struct{ passed Turn }

func (t *turns) ready(tx Tx, now time.Time, c Claim) (lanes []ReadyLane, err error) {
	rooms := c.rooms()
	look := func(from Turn) (last Turn, stopped bool, err error) {
		passed := 0
		err = tx.ReadyLanes(now, c.Node, from, func(r ReadyLane) bool {
			last = r.Turn
			l := c.capped(r)
			room := rooms[l.responsive]
			if l.open() && room.open() {
				lanes = append(lanes, r)
			}
			if l.open() && room.open() && l.InDelivery == 0 {
				room.tasks--
			} else {
				passed++
			}
			stopped = passed == maxPassed
			return !stopped && (rooms[true].open() || rooms[false].open())
		})
		return last, stopped, err
	}
	last, stopped, err := look(Turn{})
	if err != nil || !stopped {
		return lanes, err
	}
	if t.passed.Compare(last) < 0 {
		t.passed = last
	}
	last, stopped, err = look(t.passed)
	t.passed = Turn{}
	if stopped {
		t.passed = last
	}
	return lanes, err
}

// room is what some tasks may take together.
type room struct {
	tasks int
	bytes int64
}

// open reports whether there is room for one more task.
func (r *room) open() bool { return r.tasks > 0 && r.bytes > 0 }

func (r *room) take(bytes int64) {
	r.tasks--
	r.bytes -= bytes
}

// rooms returns what the tasks of lanes may take, by whether these respond.
func (c Claim) rooms() map[bool]*room {
	m := c.Memory
	if m.Needs == nil {
		m.Responsive, m.Unresponsive = 1, 1
	}
	return map[bool]*room{true: {c.Max, m.Responsive}, false: {c.MaxUnresponsive, m.Unresponsive}}
}

// needs returns how many bytes a task takes.
func (c Claim) needs(r Record) int64 {
	if c.Memory.Needs == nil {
		return 0
	}
	return c.Memory.Needs(r)
}

// cappedLane is a lane with its limits.
type cappedLane struct {
	ReadyLane
	limit      int   // of messages in delivery
	bytes      int64 // that its tasks may take
	responsive bool
}

func (c Claim) capped(r ReadyLane) cappedLane {
	l := cappedLane{r, 1, 1, c.Responsive == nil || c.Responsive(r.Lane)}
	if l.responsive {
		l.limit = c.PerLane
	}
	if c.Memory.Needs != nil {
		l.bytes = c.Memory.Lane(r.Lane)
	}
	return l
}

// open reports whether the lane may have one more message in delivery.
func (l *cappedLane) open() bool { return l.InDelivery < l.limit && l.bytes > 0 }

func capped(ready []ReadyLane, c Claim) []cappedLane {
	lanes := make([]cappedLane, 0, len(ready))
	for _, r := range ready {
		if l := c.capped(r); l.open() {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// claimEvenly gives each task to a lane that has the fewest in delivery: one whose
// messages take longer would otherwise come to occupy more and more of the slots.
func claimEvenly(tx Tx, now time.Time, c Claim, lanes []cappedLane) (tasks []Task, err error) {
	rooms := c.rooms()
	for busy := 0; len(lanes) > 0; busy++ {
		rest := lanes[:0]
		for _, l := range lanes {
			room := rooms[l.responsive]
			if l.InDelivery == busy && room.open() {
				t, err := claimOne(tx, now, c.Node, &l.ReadyLane)
				if err == ErrNotFound {
					continue
				}
				if err != nil {
					return nil, err
				}
				tasks = append(tasks, t)
				bytes := c.needs(t.Record)
				l.InDelivery++
				l.bytes -= bytes
				room.take(bytes)
			}
			if l.open() && room.open() {
				rest = append(rest, l)
			}
		}
		lanes = rest
	}
	return tasks, nil
}

// claimOne claims a message of a lane for a node. New and deferred messages alternate, so
// that neither a backlog of retries nor a stream of new mail keeps the other waiting. The
// claim is the durable record that the worker may leave something outside from now on.
func claimOne(tx Tx, now time.Time, node string, l *ReadyLane) (t Task, err error) {
	r, err := nextOf(tx, now, l)
	for err == nil && r.Unreadable {
		if err = holdUnreadable(tx, r); err == nil {
			r, err = nextOf(tx, now, l)
		}
	}
	if err != nil {
		return t, err
	}
	if !l.Owned {
		if l.Epoch, t.Carry, err = tx.(SharedTx).Own(l.ID, node); err != nil {
			return t, err
		}
		l.Owned, t.Taken = true, true
	}
	s := r.Status
	s.State, s.Node, s.Progress.Leftover = Delivering, node, true
	s.Fence++
	s.Attempts++
	if err := tx.SetStatus(r.ID, s); err != nil {
		return t, err
	}
	l.DeferredNext = r.State == Queued
	t.Record, t.Ref, t.Tenure = r, Ref{ID: r.ID, Fence: s.Fence, Node: node}, LaneRef{l.Lane, l.Epoch, node}
	t.Status = s
	t.Progress = r.Progress // with Leftover as it was before the claim
	return t, tx.Served(l.ID, now, l.DeferredNext, r.StartTag)
}

// holdUnreadable holds a message whose record is damaged, so that it keeps no other waiting.
func holdUnreadable(tx Tx, r Record) error {
	s := r.Status
	s.State, s.Reason, s.Detail = Held, reason.Storage, "a part of its record cannot be read"
	s.Fence++
	return tx.SetStatus(r.ID, s)
}

func nextOf(tx Tx, now time.Time, l *ReadyLane) (Record, error) {
	queued := func() (Record, error) { return tx.NextQueued(l.ID) }
	deferred := func() (Record, error) { return tx.NextDeferred(l.ID, now) }
	first, second := queued, deferred
	if l.DeferredNext {
		first, second = deferred, queued
	}
	if r, err := first(); err != ErrNotFound {
		return r, err
	}
	return second()
}
