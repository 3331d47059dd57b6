package sqlite

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const defaultListLimit = 1000

// List implements queue.Reader.
func (s *storage) List(ctx context.Context, f queue.Filter) ([]queue.Record, error) {
	few, err := s.few(ctx, f.States)
	if err != nil {
		return nil, err
	}
	query, args := listQuery(f, few)
	return s.records(ctx, query, args...)
}

// listQuery returns the rest of the query for a list, ordered by ID. If few messages are in
// the states, the index on the state finds them. Otherwise the rows are read in the order of
// the list, which ends at its limit. Reading and sorting all of many would take long, and once
// more for each part of a long list.
func listQuery(f queue.Filter, few bool) (query string, args []any) {
	where, args := conditions(f, few && f.After == "")
	limit := f.Limit
	if limit <= 0 {
		limit = defaultListLimit
	}
	return where + " ORDER BY m.id LIMIT ?", append(args, limit)
}

// fewMessages is how many messages are found by their state and sorted.
const fewMessages = 10_000

// few reports whether there are few messages in the states.
func (s *storage) few(ctx context.Context, states []queue.State) (few bool, err error) {
	if len(states) == 0 {
		return false, nil
	}
	where, args := conditions(queue.Filter{States: states}, true)
	err = s.read.QueryRowContext(ctx, "SELECT count(*) <= ? FROM (SELECT 1 FROM message m"+where+" LIMIT ?)",
		append(append([]any{fewMessages}, args...), fewMessages+1)...).Scan(&few)
	return few, err
}

// Count implements queue.Reader.
func (s *storage) Count(ctx context.Context, f queue.Filter) (n int64, err error) {
	few, err := s.few(ctx, f.States)
	if err != nil {
		return 0, err
	}
	if !few { // if the state is all that counts, its index has it
		states := f.States
		f.States = nil
		rest, _ := conditions(f, false)
		f.States, few = states, rest == ""
	}
	where, args := conditions(f, few)
	tables := "message m"
	if f.Lane != "" {
		tables = recordTables
	}
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM "+tables+where, args...).Scan(&n)
	return n, err
}

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
	where, args := conditions(queue.Filter{States: queue.States()}, true) // the index is of state and receipt
	rows, err := s.read.QueryContext(ctx, "SELECT arrived, mail_from, header_from, reply_to, user, client, json_array_length(recipients) FROM message m"+
		where+" AND arrived >= ?", append(args, micros(since))...)
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

// laneName is queue.Lane.String without the mailbox.
const laneName = "lane.connection || CASE lane.principal WHEN '' THEN '' ELSE '+' || lane.principal END"

// conditions returns the WHERE clause of a filter, which may use the index on the state if
// byState is set. instr rather than LIKE: an address may hold a wildcard. fold is openSQLite's.
func conditions(f queue.Filter, byState bool) (where string, args []any) {
	var all []string
	add := func(condition string, values ...any) {
		all = append(all, condition)
		args = append(args, values...)
	}
	if f.After != "" {
		add("m.id > ?", f.After)
	}
	if len(f.States) > 0 {
		var states []any
		for _, st := range f.States {
			states = append(states, st)
		}
		column := "m.state"
		if !byState {
			column = "+m.state" // SQLite uses no index on an expression
		}
		add(column+" IN (?"+strings.Repeat(",?", len(f.States)-1)+")", states...)
	}
	if f.From != "" {
		add("instr(fold(m.mail_from), ?) > 0", text.Fold(f.From))
	}
	if f.To != "" {
		add("EXISTS (SELECT 1 FROM json_each(m.recipients) WHERE instr(fold(value), ?) > 0)", text.Fold(f.To))
	}
	if f.Lane != "" {
		add("? IN ("+laneName+", "+laneName+" || '/' || lane.mailbox)", f.Lane)
	}
	if f.Reason != "" {
		add("m.reason = ?", f.Reason)
	}
	if f.User != "" {
		add("fold(m.user) = ?", text.Fold(f.User))
	}
	if f.Subject != "" {
		add("instr(fold(m.subject), ?) > 0", text.Fold(f.Subject))
	}
	if f.HasContent {
		add("m.body != 0")
	}
	if !f.Since.IsZero() {
		add("m.received >= ?", micros(f.Since))
	}
	if !f.Before.IsZero() {
		add("m.received < ?", micros(f.Before))
	}
	if f.MessageID != "" {
		add("m.message_id = ?", f.MessageID)
	}
	if len(all) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(all, " AND "), args
}

// Get implements queue.Reader.
func (s *storage) Get(ctx context.Context, id string) (queue.Record, []queue.Event, error) {
	r, err := scanRecord(s.read.QueryRowContext(ctx, "SELECT "+recordColumns+" FROM "+recordTables+" WHERE m.id=?", id))
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
