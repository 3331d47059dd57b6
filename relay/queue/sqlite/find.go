package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"graphrelay/relay/queue"
)

// nextDue is when the first message falls due in a lane that is not paused then, or a time in
// the past.
const nextDue = "SELECT turn FROM lane ORDER BY turn LIMIT 1"

// NextDue implements queue.Finder.
func (s *storage) NextDue(ctx context.Context, _ string) (time.Time, error) {
	var due int64
	err := s.due.QueryRowContext(ctx).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) || due == math.MaxInt64 {
		return time.Time{}, nil
	}
	return fromMicros(due), err
}

// Unwarned implements queue.Finder.
func (s *storage) Unwarned(ctx context.Context, before, now time.Time, unpaused bool, limit int) ([]queue.Record, error) {
	return s.records(ctx, ` WHERE m.state IN ('queued', 'deferred') AND m.arrived<=? AND NOT m.warned AND NOT m.in_doubt
		AND NOT (? AND lane.paused>?) ORDER BY m.arrived LIMIT ?`,
		micros(before), unpaused, micros(now), limit)
}

// Paused implements queue.Finder.
func (s *storage) Paused(ctx context.Context, l queue.Lane, now time.Time) (paused bool, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT "+pausedUntil+">?4", l.Connection, l.Principal, l.Mailbox, micros(now)).Scan(&paused)
	return paused, err
}

// NextCleanup implements queue.Finder.
func (s *storage) NextCleanup(ctx context.Context, after string) (c queue.Cleanup, err error) {
	var since int64
	var record string
	err = s.read.QueryRowContext(ctx, "SELECT since, record FROM cleanup WHERE id>? ORDER BY id LIMIT 1", after).Scan(&since, &record)
	if err != nil {
		return c, notFound(err)
	}
	if err := json.Unmarshal([]byte(record), &c.Record); err != nil {
		return c, fmt.Errorf("read a cleanup: %w", err)
	}
	c.Since = fromMicros(since)
	return c, nil
}

// Ended implements queue.Finder.
func (s *storage) Ended(ctx context.Context, state queue.State, before time.Time, finished bool, limit int) ([]string, error) {
	return ids(s.read.QueryContext(ctx, "SELECT id FROM message WHERE state=? AND arrived<=?2 AND (due<=?2 OR NOT ?) ORDER BY arrived LIMIT ?",
		state, micros(before), finished, limit))
}

// ServedLanes implements queue.Finder.
func (s *storage) ServedLanes(ctx context.Context, since time.Time) (list []queue.ServedLane, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT connection, principal, mailbox, served, reports_read FROM lane WHERE served>=?", micros(since))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var l queue.ServedLane
		var served, read int64
		if err := rows.Scan(&l.Connection, &l.Principal, &l.Mailbox, &served, &read); err != nil {
			return nil, err
		}
		l.Served, l.ReportsRead = fromMicros(served), fromMicros(read)
		list = append(list, l)
	}
	return list, rows.Err()
}

// leftAs needs the condition of the index message_sent as it is written there.
const leftAs = ` WHERE m.state IN ('sent', 'returned') AND m.message_id=?
	AND m.lane=(SELECT id FROM lane WHERE connection=? AND principal=? AND mailbox=?) ORDER BY m.received LIMIT ?`

// LeftAs implements queue.Finder.
func (s *storage) LeftAs(ctx context.Context, l queue.Lane, messageID string, limit int) ([]queue.Record, error) {
	return s.records(ctx, leftAs, messageID, l.Connection, l.Principal, l.Mailbox, limit)
}

// Usage implements queue.Finder.
func (s *storage) Usage(ctx context.Context) ([]queue.Usage, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT user, client, connection, principal, mailbox, sum(state != 'held'), sum(state = 'held'), sum(size)
		FROM message JOIN lane ON lane.id = message.lane WHERE state IN ('queued', 'deferred', 'delivering', 'held') GROUP BY user, client, lane`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []queue.Usage
	for rows.Next() {
		var u queue.Usage
		if err := rows.Scan(&u.User, &u.Client, &u.Lane.Connection, &u.Lane.Principal, &u.Lane.Mailbox, &u.Waiting, &u.Held, &u.Bytes); err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, rows.Err()
}

// FailedBeyond implements queue.Finder.
func (s *storage) FailedBeyond(ctx context.Context, keep, bytes int64) (time.Time, error) {
	var arrived int64
	err := s.read.QueryRowContext(ctx, `SELECT arrived FROM (
			SELECT arrived, row_number() OVER newest AS n, sum(size) OVER newest AS total FROM message WHERE state='failed'
			WINDOW newest AS (ORDER BY arrived DESC ROWS UNBOUNDED PRECEDING))
		WHERE n>?1 AND ?1>0 OR total>?2 AND ?2>0 LIMIT 1`, keep, bytes).Scan(&arrived)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return fromMicros(arrived), err
}

// leftContents needs the condition of the index message_kept as it is written there, and its order.
const leftContents = `SELECT id FROM (
		SELECT id, state, due, sum(size) OVER (ORDER BY state, arrived DESC ROWS UNBOUNDED PRECEDING) AS total
		FROM message WHERE body != 0 AND state IN ('sent', 'returned'))
	WHERE state='sent' AND due<=?1 OR total>?2 AND ?2>0 LIMIT ?3`

// LeftContents implements queue.Finder.
func (s *storage) LeftContents(ctx context.Context, before time.Time, bytes int64, limit int) ([]string, error) {
	return ids(s.read.QueryContext(ctx, leftContents, micros(before), bytes, limit))
}

// EndedBeyond implements queue.Finder.
func (s *storage) EndedBeyond(ctx context.Context, state queue.State, keep int64) (time.Time, error) {
	var arrived int64
	err := s.read.QueryRowContext(ctx, "SELECT arrived FROM message WHERE state=? ORDER BY arrived DESC LIMIT 1 OFFSET ?", state, keep).Scan(&arrived)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return fromMicros(arrived), err
}

func ids(rows interface {
	scanner
	Next() bool
	Err() error
	Close() error
}, err error) (list []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		list = append(list, id)
	}
	return list, rows.Err()
}
