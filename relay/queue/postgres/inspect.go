package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Get implements queue.Reader.
func (s *storage) Get(ctx context.Context, id string) (r queue.Record, events []queue.Event, err error) {
	found := false
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		found = true
		var reception string
		r, _, err = scanRecord(rows, &reception)
		r.Reception = queue.ReceptionOf(unescape(reception))
		return err
	}, "SELECT "+recordColumns+", m.reception FROM "+recordTables+" WHERE m.id = $1", escape(id))
	if err == nil && !found {
		err = queue.ErrNotFound
	}
	if err != nil {
		return r, nil, err
	}
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var e queue.Event
		var at, took int64
		err := rows.Scan(&at, &e.What, &e.Detail, &e.RequestID, &took)
		unescapeAll(&e.What, &e.Detail, &e.RequestID)
		e.At, e.Took = fromMicros(at), time.Duration(took)*time.Microsecond
		events = append(events, e)
		return err
	}, "SELECT at, what, detail, request_id, took FROM event WHERE id = $1 ORDER BY seq", escape(id))
	return r, events, err
}

// Receipts implements queue.Reader. It names the states, of which and of receipt the index is.
func (s *storage) Receipts(ctx context.Context, since time.Time, each func(queue.Receipt)) error {
	return s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var r queue.Receipt
		var received int64
		err := rows.Scan(&received, &r.Sender, &r.From, &r.ReplyTo, &r.User, &r.Client, &r.Recipients)
		if err == nil {
			unescapeAll(&r.Sender, &r.From, &r.ReplyTo, &r.User, &r.Client)
			r.Received = fromMicros(received)
			each(r)
		}
		return err
	}, `SELECT arrived, mail_from, header_from, reply_to, "user", client, json_array_length(recipients::JSON) FROM message m
		WHERE m.state = ANY($1) AND arrived >= $2`, names(queue.States()), micros(since))
}

// Sends implements queue.Reader.
func (s *storage) Sends(ctx context.Context, arrived, left time.Time, each func(queue.Send)) error {
	return s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var x queue.Send
		var at int64
		var to string
		err := rows.Scan(&x.Lane.Connection, &x.Lane.Principal, &x.Lane.Mailbox, &at, &to)
		if err == nil {
			unescapeAll(&x.Lane.Connection, &x.Lane.Principal, &x.Lane.Mailbox)
			x.At, x.To = fromMicros(at), readList(to)
			each(x)
		}
		return err
	}, "SELECT lane.connection, lane.principal, lane.mailbox, m.due, m.recipients FROM "+recordTables+
		" WHERE m.state IN ('sent', 'returned') AND m.arrived >= $1 AND m.due >= $2", micros(arrived), micros(left))
}

// Stats implements queue.Reader.
func (s *storage) Stats(ctx context.Context) (queue.Stats, error) {
	st := queue.Stats{Messages: map[queue.State]int64{}}
	err := s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var name string
		var n, bytes, oldest int64
		if err := rows.Scan(&name, &n, &bytes, &oldest); err != nil {
			return err
		}
		state := queue.State(name)
		st.Messages[state] = n
		if state.Left() || state == queue.Deleted {
			return nil
		}
		st.Bytes += bytes
		if state == queue.Failed {
			st.FailedBytes = bytes
		}
		if t := fromMicros(oldest); state != queue.Failed && (st.Oldest.IsZero() || t.Before(st.Oldest)) {
			st.Oldest = t
		}
		return nil
	}, "SELECT state, count(*), sum(size)::BIGINT, min(arrived) FROM message GROUP BY state")
	return st, err
}

// Lanes implements queue.Reader.
func (s *storage) Lanes(ctx context.Context, now time.Time) (list []queue.LaneStatus, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var l queue.Lane
		var state, why string
		var n, received, until int64
		if err := rows.Scan(&l.Connection, &l.Principal, &l.Mailbox, &state, &n, &received, &until, &why); err != nil {
			return err
		}
		unescapeAll(&l.Connection, &l.Principal, &l.Mailbox)
		if len(list) == 0 || list[len(list)-1].Lane != l {
			list = append(list, queue.LaneStatus{Lane: l, Messages: map[queue.State]int64{}})
		}
		last := &list[len(list)-1]
		if until > 0 {
			last.PausedUntil, last.PausedFor = fromMicros(until), reason.Reason(why)
			return nil
		}
		last.Messages[queue.State(state)] = n
		if t := fromMicros(received); last.Oldest.IsZero() || t.Before(last.Oldest) {
			last.Oldest = t
		}
		return nil
	}, `SELECT connection, principal, mailbox, '', 0::BIGINT, 0::BIGINT, until, reason FROM pause WHERE until > $1
		UNION ALL
		SELECT lane.connection, lane.principal, lane.mailbox, m.state, count(*), min(m.received), 0, ''
		FROM `+recordTables+` WHERE m.state IN ('queued', 'deferred', 'delivering', 'held') GROUP BY lane.id, m.state
		ORDER BY 1, 2, 3`, micros(now))
	return list, err
}

// Audits implements queue.Reader.
func (s *storage) Audits(ctx context.Context, limit int) (list []queue.Audit, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var a queue.Audit
		var at int64
		err := rows.Scan(&a.ID, &at, &a.By, &a.Action, &a.On, &a.Changed)
		unescapeAll(&a.By, &a.Action, &a.On)
		a.At = fromMicros(at)
		list = append(list, a)
		return err
	}, "SELECT id, at, by, action, object, changed FROM audit ORDER BY id DESC LIMIT $1", limit)
	slices.Reverse(list)
	return list, err
}
