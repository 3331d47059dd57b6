package sqlite

import (
	"context"
	"database/sql"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// firstDue is when the first message of a lane falls due: long ago if one is queued,
// never if it has none. It reads one entry of an index, so its cost does not grow with
// the queue.
const (
	longAgo  = "1"
	never    = "9223372036854775807"
	firstDue = "CASE WHEN EXISTS (SELECT 1 FROM message WHERE lane = lane.id AND state = 'queued') THEN " + longAgo +
		" ELSE coalesce((SELECT due FROM message WHERE lane = lane.id AND state = 'deferred' ORDER BY due LIMIT 1), " + never + ") END"
)

// readyLanes lists the lanes that have a message due and no pause, longest
// unserved first.
const readyLanes = `
SELECT lane.id, connection, principal, mailbox, (SELECT count(*) FROM message WHERE lane = lane.id AND state = 'delivering'), retries
FROM lane
WHERE ` + firstDue + ` <= ?1
  AND NOT EXISTS (SELECT 1 FROM pause WHERE pause.connection = lane.connection
                  AND pause.principal = lane.principal AND pause.mailbox IN ('', lane.mailbox) AND pause.until > ?1)
ORDER BY lane.served`

// nextDue is when the first message falls due in a lane that is not paused then.
const nextDue = `
SELECT coalesce(min(max(` + firstDue + `,
	coalesce((SELECT max(until) FROM pause WHERE pause.connection = lane.connection
	          AND pause.principal = lane.principal AND pause.mailbox IN ('', lane.mailbox)), 0))), ` + never + `)
FROM lane`

// The first of a lane ?1 at the time ?2: of what is new by turn, of what was deferred by
// when it was due.
const (
	nextNew = "SELECT " + recordColumns + " FROM " + recordTables +
		" WHERE m.lane=?1 AND m.state='queued' ORDER BY m.start_tag, m.id LIMIT 1"
	nextDeferred = "SELECT " + recordColumns + " FROM " + recordTables +
		" WHERE m.lane=?1 AND m.state='deferred' AND m.due<=?2 ORDER BY m.due LIMIT 1"
)

// Claim implements queue.Work.
func (s *Store) Claim(ctx context.Context, c queue.Claim) (tasks []queue.Task, next time.Time, err error) {
	now := time.Now().UnixMicro()
	idle, due, err := s.nothingDue(ctx, now)
	if err != nil || idle {
		return nil, fromMicros(due), err
	}
	err = s.do(ctx, func(ctx context.Context, tx *transaction) error {
		lanes, err := claimable(ctx, tx, now, c)
		if err == nil {
			tasks, err = claimEvenly(ctx, tx, now, c, lanes)
		}
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	_, due, err = s.nothingDue(ctx, now)
	return tasks, fromMicros(due), err
}

// nothingDue spares the writer a transaction when no message is due.
func (s *Store) nothingDue(ctx context.Context, now int64) (bool, int64, error) {
	var due int64
	err := s.due.QueryRowContext(ctx).Scan(&due)
	if due == math.MaxInt64 {
		return true, 0, err
	}
	return due > now, due, err
}

// laneRoom is a lane that has a message due and may have one more in delivery.
type laneRoom struct {
	id      int64
	busy    int // tasks in delivery
	most    int // that may be
	answers bool
	retries bool // deferred mail comes next
}

func claimable(ctx context.Context, tx *transaction, now int64, c queue.Claim) ([]laneRoom, error) {
	rows, err := tx.QueryContext(ctx, readyLanes, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lanes []laneRoom
	for rows.Next() {
		var name queue.Lane
		l := laneRoom{most: 1}
		if err := rows.Scan(&l.id, &name.Connection, &name.Principal, &name.Mailbox, &l.busy, &l.retries); err != nil {
			return nil, err
		}
		if l.answers = c.Responsive == nil || c.Responsive(name); l.answers {
			l.most = c.PerLane
		}
		if l.busy < l.most {
			lanes = append(lanes, l)
		}
	}
	return lanes, rows.Err()
}

// claimEvenly gives each task to a lane that has the fewest: one whose messages take
// longer would otherwise come to have more and more of what may be in delivery.
func claimEvenly(ctx context.Context, tx *transaction, now int64, c queue.Claim, lanes []laneRoom) (tasks []queue.Task, err error) {
	room := map[bool]int{true: c.Max, false: c.MaxUnresponsive} // for lanes that answer or not
	for busy := 0; len(lanes) > 0; busy++ {
		rest := lanes[:0]
		for _, l := range lanes {
			if l.busy == busy && room[l.answers] > 0 {
				t, err := claimOne(ctx, tx, c.Node, now, &l)
				if err == queue.ErrNotFound {
					continue
				}
				if err != nil {
					return nil, err
				}
				tasks = append(tasks, t)
				l.busy++
				room[l.answers]--
			}
			if l.busy < l.most && room[l.answers] > 0 {
				rest = append(rest, l)
			}
		}
		lanes = rest
	}
	return tasks, nil
}

// claimOne sets leftover in the same commit: a claim is the durable record that the
// worker may leave something outside from now on. New and deferred mail take turns, so
// that neither a backlog of retries nor a stream of new mail keeps the other waiting.
func claimOne(ctx context.Context, tx *transaction, node string, now int64, l *laneRoom) (t queue.Task, err error) {
	next := []string{nextNew, nextDeferred}
	if l.retries {
		slices.Reverse(next)
	}
	for _, query := range next {
		t.Record, t.Ref.Fence, err = scanRecord(tx.QueryRowContext(ctx, query, l.id, now))
		if err != queue.ErrNotFound {
			break
		}
	}
	if err != nil {
		return t, err
	}
	l.retries = t.State == queue.Queued
	t.Ref.ID = t.ID
	t.Ref.Fence++
	t.Attempts++
	t.State = queue.Delivering
	_, err = tx.ExecContext(ctx, `UPDATE message SET state='delivering', owner=?, fence=?, attempts=?, leftover=1
		WHERE id=?`, node, t.Ref.Fence, t.Attempts, t.ID)
	if err != nil {
		return t, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE lane SET served=?, retries=?, virtual_time=max(virtual_time, (SELECT start_tag FROM message WHERE id=?)) WHERE id=?",
		now, l.retries, t.ID, l.id)
	return t, err
}

// Save implements queue.Work.
func (s *Store) Save(ctx context.Context, ref queue.Ref, p queue.Progress, events ...queue.Event) error {
	return s.do(ctx, func(ctx context.Context, tx *transaction) error {
		args := append(progressValues(p), ref.ID, ref.Fence)
		res, err := tx.ExecContext(ctx, "UPDATE message SET "+progressColumns+
			" WHERE id=? AND fence=? AND state='delivering'", args...)
		if err := exactlyOne(res, err, queue.ErrFenced); err != nil {
			return err
		}
		return addEvents(ctx, tx, ref.ID, events...)
	})
}

// Finish implements queue.Work.
func (s *Store) Finish(ctx context.Context, ref queue.Ref, o queue.Outcome) error {
	if o.State == queue.Queued {
		o.Due, o.Uncount = time.Now(), true
	}
	var kind int
	err := s.do(ctx, func(ctx context.Context, tx *transaction) error {
		err := tx.QueryRowContext(ctx, "SELECT body FROM message WHERE id=? AND fence=? AND state='delivering'",
			ref.ID, ref.Fence).Scan(&kind)
		if err == sql.ErrNoRows {
			return queue.ErrFenced
		}
		if err != nil {
			return err
		}
		err = finish(ctx, tx, ref, o, kind)
		if err != nil || o.Notification == nil {
			return err
		}
		return s.submit(ctx, tx, o.Notification)
	})
	if err != nil {
		return err
	}
	if bodyGoes(o) && kind == bodyFile {
		s.removeFiles([]string{ref.ID})
	}
	if o.Notification != nil {
		s.followed(o.Notification)
	}
	s.signal() // the lane has room again
	return nil
}

func bodyGoes(o queue.Outcome) bool { return o.State == queue.Sent || o.Discard }

func finish(ctx context.Context, tx *transaction, ref queue.Ref, o queue.Outcome, kind int) error {
	var finished int64
	if o.State == queue.Sent || o.State == queue.Failed {
		finished = time.Now().UnixMicro()
	}
	if bodyGoes(o) {
		kind = bodyNone
		if _, err := tx.ExecContext(ctx, "DELETE FROM body WHERE id=?", ref.ID); err != nil {
			return err
		}
	}
	uncount := 0
	if o.Uncount {
		uncount = 1
	}
	args := append(progressValues(o.Progress), o.State, micros(o.Due), o.Reason, o.Detail, uncount, finished, kind, ref.ID)
	_, err := tx.ExecContext(ctx, "UPDATE message SET "+progressColumns+
		", state=?, due=?, reason=?, detail=?, attempts=max(attempts-?, 0), finished=?, body=?, owner='' WHERE id=?", args...)
	if err != nil {
		return err
	}
	if o.Cleanup {
		if err := addOrphan(ctx, tx, ref.ID); err != nil {
			return err
		}
	}
	return addEvents(ctx, tx, ref.ID, o.Events...)
}

// submit queues a message of the relay's own within the transaction of another
// one's end. Its body is a row whatever its size: a file could not be undone.
func (s *Store) submit(ctx context.Context, tx *transaction, m *queue.Submission) error {
	w := &writer{spool: spool{s: s, id: m.ID, size: int64(len(m.Body)), sum: crc32.Checksum(m.Body, castagnoli)}}
	w.mem.Write(m.Body)
	if err := w.insert(ctx, tx, m.Entry); err != nil {
		return err
	}
	return addEvents(ctx, tx, m.ID, m.Events...)
}

// Pause implements queue.Work.
func (s *Store) Pause(ctx context.Context, l queue.Lane, until time.Time, why reason.Reason) error {
	return s.do(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO pause (connection, principal, mailbox, until, reason) VALUES (?,?,?,?,?)
			ON CONFLICT DO UPDATE SET until=excluded.until, reason=excluded.reason WHERE excluded.until > until`,
			l.Connection, l.Principal, l.Mailbox, micros(until), why)
		return err
	})
}

// Renew implements queue.Work.
func (s *Store) Renew(ctx context.Context, node string, lease time.Duration) (reclaimed int, err error) {
	err = s.do(ctx, func(ctx context.Context, tx *transaction) error {
		now := time.Now()
		_, err := tx.ExecContext(ctx, `INSERT INTO node (name, lease) VALUES (?,?)
			ON CONFLICT DO UPDATE SET lease=excluded.lease`, node, micros(now.Add(lease)))
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE message SET state='queued', owner='', fence=fence+1, due=?1
			WHERE state='delivering' AND owner NOT IN (SELECT name FROM node WHERE lease > ?1)`, micros(now))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		reclaimed = int(n)
		// Give back what ended messages left, a little at a time.
		_, err = tx.ExecContext(ctx, "PRAGMA incremental_vacuum(1000)")
		return err
	})
	if reclaimed > 0 {
		s.signal()
	}
	return reclaimed, err
}
