package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// nextDue reads the first entry of two parts of an index.
const nextDue = `SELECT least((SELECT ready FROM lane WHERE owner = '' ORDER BY ready LIMIT 1), (SELECT ready FROM lane WHERE owner = $1 ORDER BY ready LIMIT 1), 9223372036854775807)`

// NextDue implements queue.Finder. What was accepted before it is called counts.
func (s *storage) NextDue(ctx context.Context, node string) (time.Time, error) {
	if err := s.confirm(); err != nil {
		return time.Time{}, err
	}
	var due int64
	if err := s.one(ctx, s.work, []any{&due}, nextDue, escape(node)); err != nil || due == dueNever {
		return time.Time{}, err
	}
	return fromMicros(due), nil
}

// Unwarned implements queue.Finder.
func (s *storage) Unwarned(ctx context.Context, before, now time.Time, unpaused bool, limit int) ([]queue.Record, error) {
	return s.records(ctx, ` WHERE m.state IN ('queued', 'deferred') AND m.arrived <= $1 AND NOT m.warned AND NOT m.in_doubt
		AND NOT ($2 AND lane.paused > $3) ORDER BY m.arrived LIMIT $4`,
		micros(before), unpaused, micros(now), limit)
}

// Paused implements queue.Finder.
func (s *storage) Paused(ctx context.Context, l queue.Lane, now time.Time) (paused bool, err error) {
	err = s.one(ctx, s.read, []any{&paused}, "SELECT "+pausedUntil+" > $4", escape(l.Connection), escape(l.Principal), escape(l.Mailbox), micros(now))
	return paused, err
}

// NextCleanup implements queue.Finder.
func (s *storage) NextCleanup(ctx context.Context, after string) (c queue.Cleanup, err error) {
	var since int64
	var record string
	if err := s.one(ctx, s.read, []any{&since, &record}, "SELECT since, record FROM cleanup WHERE id > $1 ORDER BY id LIMIT 1", escape(after)); err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(unescape(record)), &c.Record); err != nil {
		return c, fmt.Errorf("read a cleanup: %w", err)
	}
	c.Since = fromMicros(since)
	return c, nil
}

// Ended implements queue.Finder.
func (s *storage) Ended(ctx context.Context, state queue.State, before time.Time, finished bool, limit int) ([]string, error) {
	return s.ids(ctx, "SELECT id FROM message WHERE state = $1 AND arrived <= $2 AND (due <= $2 OR NOT $3) ORDER BY arrived LIMIT $4",
		string(state), micros(before), finished, limit)
}

// ids reads the IDs that a query selects.
func (s *storage) ids(ctx context.Context, sql string, args ...any) (list []string, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var id string
		err := rows.Scan(&id)
		list = append(list, id)
		return err
	}, sql, args...)
	return list, err
}

// ServedLanes implements queue.Finder.
func (s *storage) ServedLanes(ctx context.Context, since time.Time) (list []queue.ServedLane, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var l queue.ServedLane
		var served, read int64
		err := rows.Scan(&l.Connection, &l.Principal, &l.Mailbox, &served, &read)
		unescapeAll(&l.Connection, &l.Principal, &l.Mailbox)
		l.Served, l.ReportsRead = fromMicros(served), fromMicros(read)
		list = append(list, l)
		return err
	}, "SELECT connection, principal, mailbox, served, reports_read FROM lane WHERE served >= $1", micros(since))
	return list, err
}

// LeftAs implements queue.Finder. It needs the condition of the index message_sent as it is
// written there.
func (s *storage) LeftAs(ctx context.Context, l queue.Lane, messageID string, limit int) ([]queue.Record, error) {
	return s.records(ctx, ` WHERE m.state IN ('sent', 'returned') AND m.message_id = $1
		AND m.lane = (SELECT id FROM lane WHERE connection = $2 AND principal = $3 AND mailbox = $4) ORDER BY m.received LIMIT $5`,
		escape(messageID), escape(l.Connection), escape(l.Principal), escape(l.Mailbox), limit)
}

// Usage implements queue.Finder.
func (s *storage) Usage(ctx context.Context) (list []queue.Usage, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var u queue.Usage
		err := rows.Scan(&u.User, &u.Client, &u.Lane.Connection, &u.Lane.Principal, &u.Lane.Mailbox, &u.Waiting, &u.Held, &u.Bytes)
		unescapeAll(&u.User, &u.Client, &u.Lane.Connection, &u.Lane.Principal, &u.Lane.Mailbox)
		list = append(list, u)
		return err
	}, `SELECT m."user", m.client, lane.connection, lane.principal, lane.mailbox,
			count(*) FILTER (WHERE state <> 'held'), count(*) FILTER (WHERE state = 'held'), sum(size)::BIGINT
		FROM `+recordTables+` WHERE state IN ('queued', 'deferred', 'delivering', 'held') GROUP BY m."user", m.client, lane.id`)
	return list, err
}

// FailedBeyond implements queue.Finder.
func (s *storage) FailedBeyond(ctx context.Context, keep, bytes int64) (time.Time, error) {
	return s.arrivedAt(ctx, `SELECT arrived FROM (
			SELECT arrived, row_number() OVER newest AS n, sum(size) OVER newest AS total FROM message WHERE state = 'failed'
			WINDOW newest AS (ORDER BY arrived DESC, id DESC ROWS UNBOUNDED PRECEDING)) AS failed
		WHERE n > $1 AND $1 > 0 OR total > $2 AND $2 > 0 ORDER BY n LIMIT 1`, keep, bytes)
}

// leftContents needs the condition of the index message_kept as it is written there, and its order.
const leftContents = `SELECT id FROM (
		SELECT id, state, due, sum(size) OVER (ORDER BY state, arrived DESC ROWS UNBOUNDED PRECEDING) AS total
		FROM message WHERE body AND state IN ('sent', 'returned')) AS kept
	WHERE state = 'sent' AND due <= $1 OR total > $2 AND $2 > 0 LIMIT $3`

// LeftContents implements queue.Finder.
func (s *storage) LeftContents(ctx context.Context, before time.Time, bytes int64, limit int) ([]string, error) {
	return s.ids(ctx, leftContents, micros(before), bytes, limit)
}

// EndedBeyond implements queue.Finder.
func (s *storage) EndedBeyond(ctx context.Context, state queue.State, keep int64) (time.Time, error) {
	return s.arrivedAt(ctx, "SELECT arrived FROM message WHERE state = $1 ORDER BY arrived DESC LIMIT 1 OFFSET $2", string(state), keep)
}

// arrivedAt returns the zero Time if there is no such message.
func (s *storage) arrivedAt(ctx context.Context, sql string, args ...any) (time.Time, error) {
	var arrived int64
	err := s.one(ctx, s.read, []any{&arrived}, sql, args...)
	if errors.Is(err, queue.ErrNotFound) {
		err = nil
	}
	return fromMicros(arrived), err
}
