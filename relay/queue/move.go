package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Closed says that a queue is not to be worked on, since its messages are being moved to or
// from another one, or have been.
type Closed struct {
	Move string // names the move; empty: the queue is open
	To   string // where the messages are moved to, for people
	Done bool   // they have been moved: nothing here is to be delivered any more
	Into bool   // this is the queue that they are moved into
}

// Error returns why the queue cannot be worked on, nil if it can.
func (c Closed) Error() error {
	switch {
	case c.Move == "":
		return nil
	case c.Done:
		return fmt.Errorf("the messages of this queue have been moved to %s; use that one", c.To)
	case c.Into:
		return errors.New("a queue is being moved into this one; run graphrelay queue move once more to complete that")
	}
	return fmt.Errorf("the messages of this queue are being moved to %s; run graphrelay queue move once more to complete that", c.To)
}

// moveBatch bounds how many messages are read at a time, and how much else is written in one
// transaction.
const moveBatch = 100

// moveLanes bounds how many lanes are made in one transaction, each of which takes up to three round
// trips.
const moveLanes = 10

// Mover moves a queue into another.
type Mover struct {
	From, To *Queue
	Name     string // of To, for people
	// Progress is called now and then with how many messages To has of how many; it may be nil.
	Progress func(moved, of int64)
}

// Move moves all messages with their history, and the pauses, cleanups and records of operators.
// Nothing may work on either queue meanwhile: both are closed, From for good. To has to be
// empty. A move that did not come to its end is taken up again by the next. It returns how
// many messages To has.
func (m *Mover) Move(ctx context.Context) (moved int64, err error) {
	done, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	total, err := m.From.storage.Count(ctx, Filter{States: States()})
	if err != nil {
		return 0, err
	}
	if !done {
		if moved, err = m.messages(ctx, total); err != nil {
			return moved, err
		}
		if err := m.rest(ctx); err != nil {
			return moved, err
		}
	}
	return total, m.end(ctx)
}

// begin closes both queues. It reports whether all was moved before, and only the end is
// missing.
func (m *Mover) begin(ctx context.Context) (done bool, err error) {
	from, err := m.From.storage.Closed(ctx)
	if err != nil {
		return false, err
	}
	to, err := m.To.storage.Closed(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case from.Done && to.Move == from.Move:
		return true, nil
	case from.Done:
		return false, from.Error()
	case from.Move != "" && to.Move == from.Move:
		return false, nil
	case from.Move != "" && from.Into, to.Move != "":
		return false, errors.New("another move into one of these queues is not complete; complete that first")
	}
	if n, err := m.To.storage.Count(ctx, Filter{States: States()}); err != nil || n > 0 {
		if err == nil {
			err = fmt.Errorf("%s has a queue already, with %d messages; name an empty database", m.Name, n)
		}
		return false, err
	}
	if err := m.nobodyWorks(ctx); err != nil {
		return false, err
	}
	if from.Move == "" {
		from.Move = NewID(time.Now())
	}
	from.To = m.Name
	if err := m.close(ctx, m.From, from); err != nil { // first: no mail comes that is not moved
		return false, err
	}
	return false, m.close(ctx, m.To, Closed{Move: from.Move, To: m.Name, Into: true})
}

// nobodyWorks returns an error if a relay works on one of the queues.
func (m *Mover) nobodyWorks(ctx context.Context) error {
	for _, q := range []*Queue{m.From, m.To} {
		nodes, err := q.storage.Nodes(ctx)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if q.Shared() && n.State(q.clock.Now()) != Gone {
				return fmt.Errorf("the relay %s works on the queue; stop it first", n.Name)
			}
		}
	}
	return nil
}

func (m *Mover) close(ctx context.Context, q *Queue, c Closed) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.SetClosed(c) })
}

// end opens the queue that has the messages, once the other one can deliver none of them.
func (m *Mover) end(ctx context.Context) error {
	c, err := m.From.storage.Closed(ctx)
	if err != nil {
		return err
	}
	c.Done = true
	if err := m.close(ctx, m.From, c); err != nil {
		return err
	}
	return m.close(ctx, m.To, Closed{})
}

// messages moves the messages in the order of their IDs, which is that of their receipt.
func (m *Mover) messages(ctx context.Context, total int64) (moved int64, err error) {
	f := Filter{States: States(), Limit: moveBatch}
	for {
		list, err := m.From.storage.List(ctx, f)
		if err != nil || len(list) == 0 {
			return moved, err
		}
		for _, r := range list {
			if ctx.Err() != nil {
				return moved, ctx.Err()
			}
			if err := m.message(ctx, r); err != nil {
				return moved, fmt.Errorf("move %s: %w", r.ID, err)
			}
			moved++
		}
		f.After = list[len(list)-1].ID
		if m.Progress != nil {
			m.Progress(moved, total)
		}
	}
}

// message moves one message, unless it was moved before.
func (m *Mover) message(ctx context.Context, r Record) error {
	if _, _, err := m.To.storage.Get(ctx, r.ID); !errors.Is(err, ErrNotFound) {
		return err
	}
	whole, events, err := m.From.storage.Get(ctx, r.ID)
	if err != nil {
		return err
	}
	r.Reception = whole.Reception
	content, err := m.content(ctx, r)
	if err != nil {
		return err
	}
	if r.State == Delivering { // by a process that has ended
		r.State, r.Node = Queued, ""
	}
	r.Arrived, r.Due = m.time(r.Arrived), m.time(r.Due)
	err = m.To.storage.Update(ctx, func(tx Tx) error {
		var flow Flow
		var err error
		s := r.Status
		if s.State == Queued || s.State == Deferred {
			flow, s.StartTag, err = startTag(tx, &r.Entry) // counts from another beginning there
		} else { // others have no place in the order, and take none from their sender's next message
			s.StartTag = 0
			flow, err = tx.Flow(r.Lane, "", "")
		}
		if err == nil {
			err = tx.Insert(r, flow.Lane, content)
		}
		if err != nil {
			return err
		}
		if err := tx.SetStatus(r.ID, s); err != nil {
			return err
		}
		return tx.AddEvents(r.ID, events...)
	})
	if err != nil {
		return errors.Join(err, content.Discard())
	}
	return nil
}

// content copies the content of a message, and none where there is none.
func (m *Mover) content(ctx context.Context, r Record) (Content, error) {
	if !r.HasContent {
		return m.To.storage.ContentOf(r.ID, nil), nil
	}
	body, err := m.From.storage.Open(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if err := body.Check(); err != nil { // it would look whole there
		return nil, fmt.Errorf("%w; write what is left of it with queue export, delete it, and move again", err)
	}
	c := m.To.storage.NewContent(r.ID)
	_, err = io.Copy(c, io.NewSectionReader(body, 0, body.Size()))
	if err == nil {
		err = c.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, c.Discard())
	}
	return c, nil
}

// time brings a time of one queue's clock to the other's.
func (m *Mover) time(t time.Time) time.Time { return m.To.clock.At(m.From.clock.Wall(t)) }

// rest moves what is not of a message. It may do so more than once.
func (m *Mover) rest(ctx context.Context) error {
	lanes, err := m.From.storage.Lanes(ctx, m.From.clock.Now())
	if err != nil {
		return err
	}
	served, err := m.From.storage.ServedLanes(ctx, time.Time{})
	if err != nil {
		return err
	}
	audits, err := m.From.storage.Audits(ctx, keepAudits)
	if err != nil {
		return err
	}
	cleanups, err := m.cleanups(ctx)
	if err != nil {
		return err
	}
	if err := inBatches(ctx, m.To, moveBatch, lanes, func(tx Tx, l LaneStatus) error {
		if l.PausedUntil.IsZero() {
			return nil
		}
		return tx.ExtendPause(l.Lane, m.time(l.PausedUntil), l.PausedFor)
	}); err != nil {
		return err
	}
	if err := inBatches(ctx, m.To, moveLanes, served, func(tx Tx, l ServedLane) error {
		flow, err := tx.Flow(l.Lane, "", "")
		if err == nil {
			err = tx.Served(flow.Lane, m.time(l.Served), false, 0)
		}
		if err == nil && !l.ReportsRead.IsZero() {
			err = tx.SetReportsRead(l.Lane, l.ReportsRead)
		}
		return err
	}); err != nil {
		return err
	}
	if err := inBatches(ctx, m.To, moveBatch, audits, func(tx Tx, a Audit) error { return tx.SetAudit(a) }); err != nil {
		return err
	}
	return inBatches(ctx, m.To, moveBatch, cleanups, func(tx Tx, c Cleanup) error {
		c.Since = m.time(c.Since)
		return tx.AddCleanup(c)
	})
}

// inBatches has do write each of the list to a queue, in transactions that end in time however long
// the list is.
func inBatches[T any](ctx context.Context, q *Queue, size int, list []T, do func(Tx, T) error) error {
	for batch := range slices.Chunk(list, size) {
		err := q.storage.Update(ctx, func(tx Tx) error {
			for _, x := range batch {
				if err := do(tx, x); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Mover) cleanups(ctx context.Context) (list []Cleanup, err error) {
	after := ""
	for {
		c, err := m.From.storage.NextCleanup(ctx, after)
		if errors.Is(err, ErrNotFound) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		after = c.ID
	}
}
