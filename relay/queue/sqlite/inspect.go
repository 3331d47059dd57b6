package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const defaultListLimit = 1000

// List implements queue.Inspector: oldest first.
func (s *Store) List(ctx context.Context, f queue.Filter) ([]queue.Record, error) {
	where, args := conditions(f)
	limit := f.Limit
	if limit <= 0 {
		limit = defaultListLimit
	}
	return s.records(ctx, where+" ORDER BY m.id LIMIT ?", append(args, limit)...)
}

// records reads what the rest of a query on message and its lane selects.
func (s *Store) records(ctx context.Context, rest string, args ...any) ([]queue.Record, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+recordColumns+" FROM "+recordTables+rest, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []queue.Record
	for rows.Next() {
		r, _, err := scanRecord(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Receipts implements queue.Inspector.
func (s *Store) Receipts(ctx context.Context, since time.Time, each func(queue.Receipt)) error {
	where, args := conditions(queue.Filter{States: queue.States()}) // the index is of state and receipt
	rows, err := s.read.QueryContext(ctx, "SELECT received, mail_from, header_from, reply_to, user, client, json_array_length(recipients) FROM message m"+
		where+" AND received >= ?", append(args, micros(since))...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r queue.Receipt
		var received int64
		if err := rows.Scan(&received, &r.Sender, &r.From, &r.ReplyTo, &r.User, &r.Client, &r.Recipients); err != nil {
			return err
		}
		r.Received = fromMicros(received)
		each(r)
	}
	return rows.Err()
}

// laneName is queue.Lane.String without the mailbox.
const laneName = "lane.connection || CASE lane.principal WHEN '' THEN '' ELSE '+' || lane.principal END"

// conditions is the WHERE clause of a filter. instr rather than LIKE: an address may
// hold a wildcard.
func conditions(f queue.Filter) (where string, args []any) {
	var all []string
	add := func(condition string, values ...any) {
		all = append(all, condition)
		args = append(args, values...)
	}
	if len(f.States) > 0 {
		var states []any
		for _, st := range f.States {
			states = append(states, st)
		}
		add("m.state IN (?"+strings.Repeat(",?", len(f.States)-1)+")", states...)
	}
	if f.From != "" {
		add("instr(lower(m.mail_from), lower(?)) > 0", f.From)
	}
	if f.To != "" {
		add("EXISTS (SELECT 1 FROM json_each(m.recipients) WHERE instr(lower(value), lower(?)) > 0)", f.To)
	}
	if f.Lane != "" {
		add("? IN ("+laneName+", "+laneName+" || '/' || lane.mailbox)", f.Lane)
	}
	if f.Reason != "" {
		add("m.reason = ?", f.Reason)
	}
	if !f.Before.IsZero() {
		add("m.received < ?", micros(f.Before))
	}
	if len(all) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(all, " AND "), args
}

// Get implements queue.Inspector.
func (s *Store) Get(ctx context.Context, id string) (queue.Record, []queue.Event, error) {
	r, _, err := scanRecord(s.read.QueryRowContext(ctx, "SELECT "+recordColumns+" FROM "+recordTables+" WHERE m.id=?", id))
	if err != nil {
		return r, nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT at, what, detail, request_id FROM event WHERE id=? ORDER BY seq", id)
	if err != nil {
		return r, nil, err
	}
	defer rows.Close()
	var events []queue.Event
	for rows.Next() {
		var e queue.Event
		var at int64
		if err := rows.Scan(&at, &e.What, &e.Detail, &e.RequestID); err != nil {
			return r, nil, err
		}
		e.At = fromMicros(at)
		events = append(events, e)
	}
	return r, events, rows.Err()
}

// transition says from which states an action may start, and where it leads.
func transition(a queue.Action) (from []queue.State, to queue.State, err error) {
	switch a {
	case queue.Hold:
		return []queue.State{queue.Queued, queue.Deferred, queue.Delivering}, queue.Held, nil
	case queue.Release:
		return []queue.State{queue.Held}, queue.Queued, nil
	case queue.Retry:
		return []queue.State{queue.Queued, queue.Deferred, queue.Held, queue.Failed}, queue.Queued, nil
	case queue.Delete:
		return []queue.State{queue.Queued, queue.Deferred, queue.Held, queue.Failed, queue.Sent}, "", nil
	}
	return nil, "", fmt.Errorf("unknown action %q", a)
}

// Apply implements queue.Controller. It raises the fence, so that a worker which is at
// the message cannot go on to send it.
func (s *Store) Apply(ctx context.Context, id string, a queue.Action, by string) error {
	from, to, err := transition(a)
	if err != nil {
		return err
	}
	var kind int
	err = s.do(ctx, func(ctx context.Context, tx *transaction) error {
		to := to
		var state queue.State
		var why reason.Reason
		var until int64
		err := tx.QueryRowContext(ctx, "SELECT state, reason, body, due FROM message WHERE id=?", id).Scan(&state, &why, &kind, &until)
		if err != nil {
			return notFound(err)
		}
		if !slices.Contains(from, state) {
			return fmt.Errorf("%w: it is %s", queue.ErrState, state)
		}
		if a == queue.Delete {
			if err := leaveOrphan(ctx, tx, id); err != nil {
				return err
			}
			return remove(ctx, tx, id)
		}
		if kind == bodyNone {
			return fmt.Errorf("%w: its content is gone, the client was told of the failure", queue.ErrState)
		}
		due := time.Now()
		if state != queue.Deferred || why == reason.Operator {
			due = later(due, fromMicros(until))
		}
		if a == queue.Retry {
			if err := resume(ctx, tx, id); err != nil {
				return err
			}
			adopted, err := adopt(ctx, tx, id)
			if err != nil {
				return err
			}
			if adopted {
				due = due.Add(2 * queue.CleanupTime)
			}
		}
		if to == queue.Queued && time.Until(due) > 0 {
			to = queue.Deferred // a queued one is due at once
		}
		if to == queue.Queued && state != queue.Queued {
			if err := takeTurnAgain(ctx, tx, id); err != nil {
				return err
			}
		}
		return move(ctx, tx, id, to, due, queue.Event{What: string(a), Detail: "by " + by})
	})
	if err != nil {
		return err
	}
	if a == queue.Delete && kind == bodyFile {
		s.removeFiles([]string{id})
	}
	s.signal()
	return nil
}

// resume ends what pauses the message's lane, but for a pause by hand: whoever asks
// for a retry has mended it.
func resume(ctx context.Context, tx *transaction, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM pause WHERE EXISTS (SELECT 1 FROM message JOIN lane ON lane.id = message.lane
		WHERE message.id=? AND lane.connection = pause.connection AND lane.principal = pause.principal AND pause.mailbox IN ('', lane.mailbox))
		AND reason != ?`, id, reason.Operator)
	return err
}

func move(ctx context.Context, tx *transaction, id string, to queue.State, due time.Time, e queue.Event) error {
	var why reason.Reason
	if to != queue.Queued {
		why = reason.Operator // held, or waiting before a retry
	}
	_, err := tx.ExecContext(ctx, `UPDATE message SET state=?, due=?, reason=?, detail=?, owner='', fence=fence+1, finished=0
		WHERE id=?`, to, micros(due), why, e.Detail, id)
	if err != nil {
		return err
	}
	return addEvents(ctx, tx, id, e)
}

func remove(ctx context.Context, tx *transaction, id string) error {
	for _, table := range []string{"body", "event", "message"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE id=?", id); err != nil {
			return err
		}
	}
	return nil
}

// Stats implements queue.Inspector.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	st := queue.Stats{Messages: map[queue.State]int64{}}
	rows, err := s.read.QueryContext(ctx, "SELECT state, count(*), sum(size), min(received) FROM message GROUP BY state")
	if err != nil {
		return st, err
	}
	defer rows.Close()
	for rows.Next() {
		var state queue.State
		var n, bytes, oldest int64
		if err := rows.Scan(&state, &n, &bytes, &oldest); err != nil {
			return st, err
		}
		st.Messages[state] = n
		if state == queue.Sent {
			continue
		}
		st.Bytes += bytes
		if t := fromMicros(oldest); state != queue.Failed && (st.Oldest.IsZero() || t.Before(st.Oldest)) {
			st.Oldest = t
		}
	}
	return st, rows.Err()
}
