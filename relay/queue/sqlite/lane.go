package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"graphrelay/relay/queue"
)

// seenLane is what the transaction has read of a lane. Many messages of a commit are often of
// one sender, who then is looked up once.
type seenLane struct {
	id          queue.LaneID
	virtualTime int64
	queued      bool             // due is 1
	tags        map[string]int64 // by source; -1: it has none
}

// Flow implements queue.LaneTx.
func (t *transaction) Flow(l queue.Lane, sender, client string) (queue.Flow, error) {
	lane := t.seen[l]
	if lane == nil || !lane.knows(sender) || !lane.knows(client) {
		var err error
		if lane, err = t.readLane(l, sender, client); err != nil {
			return queue.Flow{}, err
		}
	}
	return queue.Flow{Lane: lane.id, VirtualTime: lane.virtualTime, Sender: lane.tags[sender], Client: lane.tags[client]}, nil
}

func (l *seenLane) knows(source string) bool {
	_, ok := l.tags[source]
	return ok
}

// readLane reads a lane and the tags of two sources, or creates the lane.
func (t *transaction) readLane(l queue.Lane, sender, client string) (*seenLane, error) {
	const latest = "coalesce((SELECT start_tag FROM flow WHERE lane = lane.id AND source = ?), -1)"
	lane := t.seen[l]
	if lane == nil {
		lane = &seenLane{tags: map[string]int64{}}
	}
	var ofSender, ofClient int64
	err := t.row("SELECT id, virtual_time, due = 1, "+latest+", "+latest+" FROM lane WHERE connection=? AND principal=? AND mailbox=?",
		sender, client, l.Connection, l.Principal, l.Mailbox).Scan(&lane.id, &lane.virtualTime, &lane.queued, &ofSender, &ofClient)
	if errors.Is(err, sql.ErrNoRows) {
		ofSender, ofClient = -1, -1
		_, err = t.add("INSERT INTO lane (connection, principal, mailbox, paused) VALUES (?1,?2,?3, "+pausedUntil+")", l.Connection, l.Principal, l.Mailbox)
		lane.id = queue.LaneID(t.inserted())
	}
	if err != nil {
		return nil, err
	}
	lane.tags[sender], lane.tags[client] = ofSender, ofClient
	if t.seen == nil {
		t.seen = map[queue.Lane]*seenLane{}
	}
	t.seen[l] = lane
	return lane, nil
}

// SetTag implements queue.LaneTx.
func (t *transaction) SetTag(id queue.LaneID, source string, tag int64) error {
	for _, lane := range t.seen {
		if lane.id == id {
			lane.tags[source] = tag
		}
	}
	_, err := t.add("INSERT OR REPLACE INTO flow (lane, source, start_tag) VALUES (?,?,?)", id, source, tag)
	return err
}

// setQueued notes that a message has been queued in a lane.
func (t *transaction) setQueued(l queue.Lane, id queue.LaneID) error {
	lane := t.seen[l]
	if lane != nil && lane.queued {
		return nil
	}
	_, err := t.add("UPDATE lane SET due=1 WHERE id=? AND due != 1", id)
	if err == nil && lane != nil {
		lane.queued = true
	}
	return err
}

// DropTags implements queue.LaneTx.
func (t *transaction) DropTags(limit int) (int, error) {
	return t.count(`DELETE FROM flow WHERE (lane, source) IN (SELECT flow.lane, source
		FROM flow JOIN lane ON lane.id = flow.lane WHERE start_tag < virtual_time LIMIT ?)`, limit)
}

// lastPause returns the end of the pauses that apply to a lane, which lane.paused holds: its
// own, that of its principal, and that of its connection.
func lastPause(connection, principal, mailbox string) string {
	return "max(coalesce((SELECT until FROM pause WHERE connection=" + connection + " AND principal='' AND mailbox=''), 0), " +
		"coalesce((SELECT max(until) FROM pause WHERE connection=" + connection + " AND principal=" + principal + " AND mailbox IN ('', " + mailbox + ")), 0))"
}

// pausedUntil is lastPause of the lane ?1, ?2, ?3.
var pausedUntil = lastPause("?1", "?2", "?3")

// readyLanes reads the entries of lanes that are ready from an index, in its order, so its cost
// grows neither with the other lanes nor with those that are not asked for.
const readyLanes = `
SELECT lane.id, turn, connection, principal, mailbox, (SELECT count(*) FROM message WHERE lane = lane.id AND state = 'delivering'), retries
FROM lane
WHERE turn <= ?1 AND (turn, id) > (?2, ?3)
ORDER BY turn, id`

// ReadyLanes implements queue.LaneTx.
func (t *transaction) ReadyLanes(now time.Time, _ string, after queue.Turn, each func(queue.ReadyLane) bool) error {
	rows, err := t.rows(readyLanes, micros(now), after.At, after.Lane)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		l := queue.ReadyLane{Owned: true}
		if err := rows.Scan(&l.ID, &l.Turn.At, &l.Lane.Connection, &l.Lane.Principal, &l.Lane.Mailbox, &l.InDelivery, &l.DeferredNext); err != nil {
			return err
		}
		l.Turn.Lane = l.ID
		if !each(l) {
			return nil
		}
	}
	return rows.Err()
}

// turnsPassed makes no lane wait for the time at which an earlier process has served it: the
// queue's clock may be behind, as far as its last reading was.
func (s *storage) turnsPassed(ctx context.Context, now time.Time) error {
	return s.Update(ctx, func(tx queue.Tx) error {
		return tx.(*transaction).exec("UPDATE lane SET served = ?1 WHERE served > ?1", micros(now))
	})
}

// The first of a lane ?1 at the time ?2.
const (
	nextQueued = "SELECT " + recordColumns + " FROM " + recordTables +
		" WHERE m.lane=?1 AND m.state='queued' ORDER BY m.start_tag, m.id LIMIT 1"
	nextDeferred = "SELECT " + recordColumns + " FROM " + recordTables +
		" WHERE m.lane=?1 AND m.state='deferred' AND m.due<=?2 ORDER BY m.due LIMIT 1"
)

// NextQueued implements queue.LaneTx.
func (t *transaction) NextQueued(lane queue.LaneID) (queue.Record, error) {
	return scanRecord(t.row(nextQueued, lane))
}

// NextDeferred implements queue.LaneTx.
func (t *transaction) NextDeferred(lane queue.LaneID, now time.Time) (queue.Record, error) {
	return scanRecord(t.row(nextDeferred, lane, micros(now)))
}

// Served implements queue.LaneTx.
func (t *transaction) Served(lane queue.LaneID, now time.Time, deferredNext bool, tag int64) error {
	return t.exec("UPDATE lane SET served=?, retries=?, virtual_time=max(virtual_time, ?) WHERE id=?", micros(now), deferredNext, tag, lane)
}

// SetReportsRead implements queue.LaneTx.
func (t *transaction) SetReportsRead(l queue.Lane, until time.Time) error {
	return t.exec("UPDATE lane SET reports_read=? WHERE connection=? AND principal=? AND mailbox=?", micros(until), l.Connection, l.Principal, l.Mailbox)
}
