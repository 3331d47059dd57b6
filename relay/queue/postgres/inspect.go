package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const defaultListLimit = 1000

// List implements queue.Reader.
func (s *storage) List(ctx context.Context, f queue.Filter) (list []queue.Record, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultListLimit
	}
	if !folds(f) {
		return s.page(ctx, f)
	}
	err = s.look(ctx, f, func(r queue.Record) bool {
		list = append(list, r)
		return len(list) < f.Limit
	})
	return list, err
}

// Count implements queue.Reader.
func (s *storage) Count(ctx context.Context, f queue.Filter) (n int64, err error) {
	if folds(f) {
		err = s.look(ctx, f, func(queue.Record) bool { n++; return true })
		return n, err
	}
	where, args := conditions(f)
	err = s.one(ctx, s.read, []any{&n}, "SELECT count(*) FROM "+recordTables+where, args...)
	return n, err
}

// folds reports whether the filter compares texts without regard to case, which the database
// would do in its own way, or only for ASCII.
func folds(f queue.Filter) bool { return f.From != "" || f.To != "" || f.User != "" || f.Subject != "" }

// lookPage is how many records are read at a time to look through them.
const lookPage = 2000

// look calls each for the messages that a filter with texts selects, until it returns false.
func (s *storage) look(ctx context.Context, f queue.Filter, each func(queue.Record) bool) error {
	selects := textFilter(f)
	f.Limit = lookPage
	for {
		page, err := s.page(ctx, f)
		if err != nil {
			return err
		}
		for _, r := range page {
			if selects(r) && !each(r) {
				return nil
			}
		}
		if len(page) < lookPage {
			return nil
		}
		f.After = page[len(page)-1].ID
	}
}

// textFilter returns what a filter says of texts.
func textFilter(f queue.Filter) func(queue.Record) bool {
	from, to, user, subject := text.Fold(f.From), text.Fold(f.To), text.Fold(f.User), text.Fold(f.Subject)
	has := func(s, part string) bool { return part == "" || strings.Contains(text.Fold(s), part) }
	return func(r queue.Record) bool {
		return has(r.Envelope.From, from) && has(r.Subject, subject) && (user == "" || text.Fold(r.User) == user) &&
			(to == "" || slices.ContainsFunc(r.Envelope.To, func(s string) bool { return has(s, to) }))
	}
}

// page returns the first records that the conditions select, without what is said of texts.
func (s *storage) page(ctx context.Context, f queue.Filter) ([]queue.Record, error) {
	where, args := conditions(f)
	return s.records(ctx, fmt.Sprintf("%s ORDER BY m.id LIMIT %d", where, f.Limit), args...)
}

// laneName is queue.Lane.String without the mailbox.
const laneName = "lane.connection || CASE lane.principal WHEN '' THEN '' ELSE '+' || lane.principal END"

// conditions returns the WHERE clause of a filter, without what it says of texts.
func conditions(f queue.Filter) (where string, args []any) {
	var all []string
	add := func(condition string, value any) {
		args = append(args, value)
		all = append(all, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(args))))
	}
	if f.After != "" {
		add("m.id > ?", escape(f.After))
	}
	if len(f.States) > 0 {
		states := make([]string, len(f.States))
		for i, st := range f.States {
			states[i] = string(st)
		}
		add("m.state = ANY(?)", states)
	}
	if f.Lane != "" {
		add("? IN ("+laneName+", "+laneName+" || '/' || lane.mailbox)", escape(f.Lane))
	}
	if f.Reason != "" {
		add("m.reason = ?", string(f.Reason))
	}
	if f.HasContent {
		all = append(all, "m.body")
	}
	if !f.Since.IsZero() {
		add("m.received >= ?", micros(f.Since))
	}
	if !f.Before.IsZero() {
		add("m.received < ?", micros(f.Before))
	}
	if f.MessageID != "" {
		add("m.message_id = ?", escape(f.MessageID))
	}
	if len(all) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(all, " AND "), args
}

// Get implements queue.Reader.
func (s *storage) Get(ctx context.Context, id string) (r queue.Record, events []queue.Event, err error) {
	list, err := s.records(ctx, " WHERE m.id = $1", escape(id))
	if err == nil && len(list) == 0 {
		err = queue.ErrNotFound
	}
	if err != nil {
		return r, nil, err
	}
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var e queue.Event
		var at int64
		err := rows.Scan(&at, &e.What, &e.Detail, &e.RequestID)
		unescapeAll(&e.What, &e.Detail, &e.RequestID)
		e.At = fromMicros(at)
		events = append(events, e)
		return err
	}, "SELECT at, what, detail, request_id FROM event WHERE id = $1 ORDER BY seq", escape(id))
	return list[0], events, err
}

// Receipts implements queue.Reader. It names the states, of which and of receipt the index is.
func (s *storage) Receipts(ctx context.Context, since time.Time, each func(queue.Receipt)) error {
	where, args := conditions(queue.Filter{States: queue.States()})
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
	}, `SELECT arrived, mail_from, header_from, reply_to, "user", client, json_array_length(recipients::JSON) FROM message m`+where+" AND arrived >= $2",
		append(args, micros(since))...)
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
