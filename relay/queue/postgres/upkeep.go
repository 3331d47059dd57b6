package postgres

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// ExtendPause implements queue.PauseTx.
func (t *transaction) ExtendPause(l queue.Lane, until time.Time, why reason.Reason) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write(`INSERT INTO pause (connection, principal, mailbox, until, reason) VALUES ($1,$2,$3,$4,$5)
		ON CONFLICT (connection, principal, mailbox) DO UPDATE SET until = excluded.until, reason = excluded.reason WHERE excluded.until > pause.until`,
		escape(l.Connection), escape(l.Principal), escape(l.Mailbox), micros(until), string(why))
	t.repause(l)
	return nil
}

// repause brings the lanes that a pause applies to up to date with the table of pauses.
func (t *transaction) repause(l queue.Lane) {
	t.write(`WITH covered AS MATERIALIZED (SELECT id FROM lane WHERE connection = $1 AND ($2 = '' AND $3 = '' OR principal = $2 AND $3 IN ('', mailbox))
			AND paused <> `+lanePaused+` ORDER BY id FOR NO KEY UPDATE)
		UPDATE lane SET paused = `+lanePaused+` WHERE id IN (SELECT id FROM covered)`,
		escape(l.Connection), escape(l.Principal), escape(l.Mailbox))
}

// Pause implements queue.PauseTx.
func (t *transaction) Pause(l queue.Lane, now time.Time) (reason.Reason, error) {
	var why string
	err := t.row(func(row pgx.Row) error { return row.Scan(&why) },
		"SELECT reason FROM pause WHERE connection = $1 AND principal = $2 AND mailbox = $3 AND until > $4 FOR UPDATE",
		escape(l.Connection), escape(l.Principal), escape(l.Mailbox), micros(now))
	return reason.Reason(why), err
}

// EndPause implements queue.PauseTx.
func (t *transaction) EndPause(l queue.Lane) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write("DELETE FROM pause WHERE connection = $1 AND principal = $2 AND mailbox = $3", escape(l.Connection), escape(l.Principal), escape(l.Mailbox))
	t.repause(l)
	return nil
}

// EndPauses implements queue.PauseTx.
func (t *transaction) EndPauses(l queue.Lane, keep reason.Reason) error {
	if err := t.alone(); err != nil {
		return err
	}
	n, err := t.count(`DELETE FROM pause WHERE connection = $1 AND reason <> $2
		AND (principal = '' AND mailbox = '' OR principal = $3 AND mailbox IN ('', $4))`,
		escape(l.Connection), string(keep), escape(l.Principal), escape(l.Mailbox))
	if err == nil && n > 0 {
		t.repause(queue.Lane{Connection: l.Connection})
	}
	return err
}

// EndDeferral implements queue.PauseTx.
func (t *transaction) EndDeferral(l queue.Lane, why reason.Reason, now time.Time) error {
	if err := t.alone(); err != nil {
		return err
	}
	return t.advance(now, `m.due > $1 AND m.reason = $2 AND m.lane IN
		(SELECT id FROM lane WHERE connection = $3 AND (principal = $4 AND $5 IN ('', mailbox) OR $4 = '' AND $5 = ''))`,
		string(why), escape(l.Connection), escape(l.Principal), escape(l.Mailbox))
}

// advance makes deferred messages due now for which the condition holds, in which $1 is now.
func (t *transaction) advance(now time.Time, condition string, args ...any) error {
	return t.query(func(rows pgx.Rows) error {
		var lane queue.LaneID
		err := rows.Scan(&lane)
		t.makeDue(lane, micros(now))
		t.changed = true
		return err
	}, advanceSQL(condition), append([]any{micros(now)}, args...)...)
}

func advanceSQL(condition string) string {
	return `WITH moved AS (UPDATE message m SET due = $1 WHERE m.state = 'deferred' AND ` + condition + ` RETURNING m.lane)
		SELECT DISTINCT lane FROM moved`
}

// SetClock implements queue.UpkeepTx. The wall clocks of the nodes do not count.
func (t *transaction) SetClock(r queue.Reading) error {
	t.write("INSERT INTO clock (id, queue) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET queue = excluded.queue WHERE excluded.queue > clock.queue", micros(r.Queue))
	return nil
}

// tooLate is for advance, whose conditions it completes to that of the index message_late.
const tooLate = "m.due > $2"

// EndAhead implements queue.UpkeepTx.
func (t *transaction) EndAhead(now, pause, due time.Time, keep reason.Reason) error {
	if err := t.alone(); err != nil {
		return err
	}
	if err := t.advance(now, tooLate, micros(due)); err != nil {
		return err
	}
	t.write("DELETE FROM pause WHERE until <= $1 OR until > $2 AND reason <> $3", micros(now), micros(pause), string(keep))
	t.write(`WITH wrong AS MATERIALIZED (SELECT id FROM lane WHERE paused > $1 AND paused <> `+lanePaused+` ORDER BY id FOR NO KEY UPDATE)
		UPDATE lane SET paused = `+lanePaused+` WHERE id IN (SELECT id FROM wrong)`, micros(now))
	return nil
}

// Abandoned implements queue.UpkeepTx. It passes over messages that another node is giving
// back.
func (t *transaction) Abandoned(now time.Time) ([]string, error) {
	if err := t.alone(); err != nil {
		return nil, err
	}
	return t.ids(`SELECT id FROM message WHERE state = 'delivering' AND owner NOT IN (SELECT id FROM node WHERE lease > $1)
		ORDER BY id FOR UPDATE SKIP LOCKED`, micros(now))
}

func (t *transaction) ids(sql string, args ...any) (list []string, err error) {
	err = t.query(func(rows pgx.Rows) error {
		var id string
		err := rows.Scan(&id)
		list = append(list, id)
		return err
	}, sql, args...)
	return list, err
}

// AddCleanup implements queue.UpkeepTx.
func (t *transaction) AddCleanup(c queue.Cleanup) error {
	record, err := json.Marshal(c.Record)
	if err != nil {
		return err
	}
	t.write("INSERT INTO cleanup (id, since, record) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET since = excluded.since, record = excluded.record",
		c.ID, micros(c.Since), escape(string(record)))
	return nil
}

// RemoveCleanup implements queue.UpkeepTx.
func (t *transaction) RemoveCleanup(id string) (bool, error) {
	n, err := t.count("DELETE FROM cleanup WHERE id = $1", id)
	return n > 0, err
}

// EndCleanup implements queue.UpkeepTx.
func (t *transaction) EndCleanup(id string, since time.Time) error {
	t.write("DELETE FROM cleanup WHERE id = $1 AND since = $2", id, micros(since))
	return nil
}

// Shrink implements queue.UpkeepTx: the database reuses space by itself. What the queue has to
// remove for that is removed outside of the transaction.
func (t *transaction) Shrink() error {
	t.sweep = true
	return nil
}

// SetAudit implements queue.UpkeepTx.
func (t *transaction) SetAudit(a queue.Audit) error {
	t.write(`INSERT INTO audit (id, at, by, action, object, changed) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (id) DO UPDATE
		SET at = excluded.at, by = excluded.by, action = excluded.action, object = excluded.object, changed = excluded.changed`,
		a.ID, micros(a.At), escape(a.By), escape(a.Action), escape(a.On), a.Changed)
	return nil
}

// DropAudits implements queue.UpkeepTx.
func (t *transaction) DropAudits(keep int) error {
	t.write("DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET $1)", keep)
	return nil
}
