package sqlite

import (
	"encoding/json"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// ExtendPause implements queue.PauseTx.
func (t *transaction) ExtendPause(l queue.Lane, until time.Time, why reason.Reason) error {
	n, err := t.count(`INSERT INTO pause (connection, principal, mailbox, until, reason) VALUES (?,?,?,?,?)
		ON CONFLICT DO UPDATE SET until=excluded.until, reason=excluded.reason WHERE excluded.until > until`,
		l.Connection, l.Principal, l.Mailbox, micros(until), why)
	if err != nil || n == 0 {
		return err
	}
	return t.repause(l)
}

// repause brings the lanes that a pause applies to up to date with the table of pauses.
func (t *transaction) repause(l queue.Lane) error {
	if l.Mailbox != "" {
		return t.exec("UPDATE lane SET paused="+pausedUntil+" WHERE connection=?1 AND principal=?2 AND mailbox=?3", l.Connection, l.Principal, l.Mailbox)
	}
	until := lastPause("lane.connection", "lane.principal", "lane.mailbox")
	if l.Principal == "" {
		return t.exec("UPDATE lane SET paused="+until+" WHERE connection=?1 AND paused IS NOT "+until, l.Connection)
	}
	return t.exec("UPDATE lane SET paused="+until+" WHERE connection=?1 AND principal=?2 AND paused IS NOT "+until, l.Connection, l.Principal)
}

// Pause implements queue.PauseTx.
func (t *transaction) Pause(l queue.Lane, now time.Time) (why reason.Reason, err error) {
	err = t.row("SELECT reason FROM pause WHERE connection=? AND principal=? AND mailbox=? AND until>?",
		l.Connection, l.Principal, l.Mailbox, micros(now)).Scan(&why)
	return why, notFound(err)
}

// EndPause implements queue.PauseTx.
func (t *transaction) EndPause(l queue.Lane) error {
	if err := t.exec("DELETE FROM pause WHERE connection=? AND principal=? AND mailbox=?", l.Connection, l.Principal, l.Mailbox); err != nil {
		return err
	}
	return t.repause(l)
}

// EndPauses implements queue.PauseTx.
func (t *transaction) EndPauses(l queue.Lane, keep reason.Reason) error {
	n, err := t.count(`DELETE FROM pause WHERE connection=? AND reason != ?
		AND (principal='' AND mailbox='' OR principal=? AND mailbox IN ('', ?))`,
		l.Connection, keep, l.Principal, l.Mailbox)
	if err != nil || n == 0 {
		return err
	}
	return t.repause(queue.Lane{Connection: l.Connection})
}

// EndDeferral implements queue.PauseTx.
func (t *transaction) EndDeferral(l queue.Lane, why reason.Reason, now time.Time) error {
	return t.exec(`UPDATE message SET due=?1 WHERE state='deferred' AND due>?1 AND reason=?2
		AND lane IN (SELECT id FROM lane WHERE connection=?3 AND (principal=?4 AND ?5 IN ('', mailbox) OR ?4='' AND ?5=''))`,
		micros(now), why, l.Connection, l.Principal, l.Mailbox)
}

// SetClock implements queue.UpkeepTx.
func (t *transaction) SetClock(r queue.Reading) error {
	return t.exec("INSERT OR REPLACE INTO clock (id, queue, wall) VALUES (1,?,?)", micros(r.Queue), micros(r.Wall))
}

// EndAhead implements queue.UpkeepTx.
func (t *transaction) EndAhead(now, pause, due time.Time, keep reason.Reason) error {
	if err := t.exec("UPDATE message SET due=?1 WHERE state='deferred' AND due>?2", micros(now), micros(due)); err != nil {
		return err
	}
	if err := t.exec("DELETE FROM pause WHERE until<=?1 OR until>?2 AND reason != ?3", micros(now), micros(pause), keep); err != nil {
		return err
	}
	return t.exec("UPDATE lane SET paused=0 WHERE paused>?1 AND "+lastPause("lane.connection", "lane.principal", "lane.mailbox")+"=0", micros(pause))
}

// Abandoned implements queue.UpkeepTx.
func (t *transaction) Abandoned(now time.Time) ([]string, error) {
	return ids(t.rows("SELECT id FROM message WHERE state='delivering' AND owner NOT IN (SELECT id FROM node WHERE lease > ?)", micros(now)))
}

// Claimed implements queue.UpkeepTx.
func (t *transaction) Claimed(node string) (refs, _ []queue.Ref, err error) {
	rows, err := t.rows("SELECT id, fence FROM message WHERE state='delivering' AND owner=?", node)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r := queue.Ref{Node: node}
		if err := rows.Scan(&r.ID, &r.Fence); err != nil {
			return nil, nil, err
		}
		refs = append(refs, r)
	}
	return refs, nil, rows.Err()
}

// AddCleanup implements queue.UpkeepTx.
func (t *transaction) AddCleanup(c queue.Cleanup) error {
	record, err := json.Marshal(c.Record)
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO cleanup (id, since, record) VALUES (?,?,?)
		ON CONFLICT DO UPDATE SET since=excluded.since, record=excluded.record`, c.ID, micros(c.Since), string(record))
}

// RemoveCleanup implements queue.UpkeepTx.
func (t *transaction) RemoveCleanup(id string) (bool, error) {
	n, err := t.count("DELETE FROM cleanup WHERE id=?", id)
	return n > 0, err
}

// EndCleanup implements queue.UpkeepTx.
func (t *transaction) EndCleanup(id string, since time.Time) error {
	return t.exec("DELETE FROM cleanup WHERE id=? AND since=?", id, micros(since))
}

// Shrink implements queue.UpkeepTx, a little at a time.
func (t *transaction) Shrink() error { return t.exec("PRAGMA incremental_vacuum(1000)") }
