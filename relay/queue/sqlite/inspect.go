package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// records reads what the rest of a query on message and its lane selects.
func (s *storage) records(ctx context.Context, rest string, args ...any) ([]queue.Record, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+recordColumns+" FROM "+recordTables+rest, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []queue.Record
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Receipts implements queue.Reader.
func (s *storage) Receipts(ctx context.Context, since time.Time, each func(queue.Receipt)) error {
	w := whereStates(queue.States()) // the index is of state and receipt
	w.and("arrived >= %s", micros(since))
	rows, err := s.read.QueryContext(ctx, "SELECT arrived, mail_from, header_from, reply_to, user, client, json_array_length(recipients) FROM message m"+
		w.clause(), w.args...)
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

// Sends implements queue.Reader.
func (s *storage) Sends(ctx context.Context, arrived, left time.Time, each func(queue.Send)) error {
	rows, err := s.read.QueryContext(ctx, "SELECT lane.connection, lane.principal, lane.mailbox, m.due, m.recipients FROM "+recordTables+
		" WHERE m.state IN ('sent', 'returned') AND m.arrived >= ? AND m.due >= ?", micros(arrived), micros(left))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var x queue.Send
		var at int64
		var to string
		if err := rows.Scan(&x.Lane.Connection, &x.Lane.Principal, &x.Lane.Mailbox, &at, &to); err != nil {
			return err
		}
		_ = json.Unmarshal([]byte(to), &x.To) // as in scanRecord
		x.At = fromMicros(at)
		each(x)
	}
	return rows.Err()
}

// Get implements queue.Reader.
func (s *storage) Get(ctx context.Context, id string) (queue.Record, []queue.Event, error) {
	var reception string
	r, err := scanRecord(s.read.QueryRowContext(ctx, "SELECT "+recordColumns+", m.reception FROM "+recordTables+" WHERE m.id=?", id), &reception)
	if err != nil {
		return r, nil, err
	}
	r.Reception = queue.ReceptionOf(reception)
	rows, err := s.read.QueryContext(ctx, "SELECT at, what, detail, request_id, took FROM event WHERE id=? ORDER BY seq", id)
	if err != nil {
		return r, nil, err
	}
	defer rows.Close()
	var events []queue.Event
	for rows.Next() {
		var e queue.Event
		var at, took int64
		if err := rows.Scan(&at, &e.What, &e.Detail, &e.RequestID, &took); err != nil {
			return r, nil, err
		}
		e.At, e.Took = fromMicros(at), time.Duration(took)*time.Microsecond
		events = append(events, e)
	}
	return r, events, rows.Err()
}

// Stats implements queue.Reader.
func (s *storage) Stats(ctx context.Context) (queue.Stats, error) {
	st := queue.Stats{Messages: map[queue.State]int64{}}
	rows, err := s.read.QueryContext(ctx, "SELECT state, count(*), sum(size), min(arrived) FROM message GROUP BY state")
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
		if state.Left() || state == queue.Deleted {
			continue
		}
		st.Bytes += bytes
		if state == queue.Failed {
			st.FailedBytes = bytes
		}
		if t := fromMicros(oldest); state != queue.Failed && (st.Oldest.IsZero() || t.Before(st.Oldest)) {
			st.Oldest = t
		}
	}
	return st, rows.Err()
}

// Lanes implements queue.Reader.
func (s *storage) Lanes(ctx context.Context, now time.Time) ([]queue.LaneStatus, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT connection, principal, mailbox, '', 0, 0, until, reason FROM pause WHERE until > ?
		UNION ALL
		SELECT connection, principal, mailbox, state, count(*), min(received), 0, ''
		FROM message JOIN lane ON lane.id = message.lane WHERE state NOT IN ('sent', 'returned', 'failed', 'deleted') GROUP BY lane.id, state
		ORDER BY 1, 2, 3`, micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []queue.LaneStatus
	for rows.Next() {
		var l queue.Lane
		var state queue.State
		var n, received, until int64
		var why reason.Reason
		if err := rows.Scan(&l.Connection, &l.Principal, &l.Mailbox, &state, &n, &received, &until, &why); err != nil {
			return nil, err
		}
		if len(list) == 0 || list[len(list)-1].Lane != l {
			list = append(list, queue.LaneStatus{Lane: l, Messages: map[queue.State]int64{}})
		}
		last := &list[len(list)-1]
		if until > 0 {
			last.PausedUntil, last.PausedFor = fromMicros(until), why
			continue
		}
		last.Messages[state] = n
		if t := fromMicros(received); last.Oldest.IsZero() || t.Before(last.Oldest) {
			last.Oldest = t
		}
	}
	return list, rows.Err()
}
