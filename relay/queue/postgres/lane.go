package postgres

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

const selectFlow = `SELECT id, virtual_time,
		coalesce((SELECT start_tag FROM flow WHERE lane = lane.id AND source = $4), -1),
		coalesce((SELECT start_tag FROM flow WHERE lane = lane.id AND source = $5), -1),
		EXISTS (SELECT 1 FROM closed)
	FROM lane WHERE connection = $1 AND principal = $2 AND mailbox = $3`

// Flow implements queue.LaneTx. It locks nothing: of the tags that other nodes give to the
// messages of the same sender at the same time, some may be the same, and the messages then
// follow one another by ID.
func (t *transaction) Flow(l queue.Lane, sender, client string) (f queue.Flow, err error) {
	sender, client = escape(sender), escape(client)
	for range maxTries { // a new lane may be removed at once, since it has no message yet
		err = t.row(func(row pgx.Row) error { return row.Scan(&f.Lane, &f.VirtualTime, &f.Sender, &f.Client, &f.Closed) }, selectFlow,
			escape(l.Connection), escape(l.Principal), escape(l.Mailbox), sender, client)
		if !errors.Is(err, queue.ErrNotFound) || t.broken != nil {
			break
		}
		if err := t.createLane(l); err != nil {
			return f, err
		}
	}
	if err != nil {
		return f, fmt.Errorf("create the lane %s: %v", l, err)
	}
	f.Sender = max(f.Sender, t.s.tags.latest(tagOf{f.Lane, sender}))
	f.Client = max(f.Client, t.s.tags.latest(tagOf{f.Lane, client}))
	return f, nil
}

// createLane commits a new lane at once, so that no two transactions wait for each other's
// lanes. One without messages is removed in time, so its epoch begins with the time: no lane has
// one twice.
func (t *transaction) createLane(l queue.Lane) error {
	return t.s.onConn(t.ctx, t.s.work, func(c *pgx.Conn) error {
		_, err := c.Exec(t.ctx, "INSERT INTO lane (connection, principal, mailbox, paused, epoch) VALUES ($1, $2, $3, "+pausedUntil+", "+databaseTime+") ON CONFLICT DO NOTHING",
			escape(l.Connection), escape(l.Principal), escape(l.Mailbox))
		return err
	})
}

// SetTag implements queue.LaneTx.
func (t *transaction) SetTag(lane queue.LaneID, source string, tag int64) error {
	key := tagOf{lane, escape(source)}
	t.tags[key] = max(tag, t.tags[key])
	t.s.tags.set(key, tag)
	t.changed = true
	return nil
}

// tags holds the latest start tags that this process has given, which other writers may not
// have committed yet. A tag that was never committed leaves a gap, which does no harm.
type tags struct {
	mu  sync.Mutex
	tag map[tagOf]int64
}

const maxTags = 10_000

func (t *tags) latest(k tagOf) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tag, ok := t.tag[k]; ok {
		return tag
	}
	return -1
}

func (t *tags) set(k tagOf, tag int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tag == nil || len(t.tag) >= maxTags {
		t.tag = map[tagOf]int64{}
	}
	t.tag[k] = max(tag, t.tag[k])
}

// DropTags implements queue.LaneTx.
func (t *transaction) DropTags(limit int) (int, error) {
	if err := t.alone(); err != nil {
		return 0, err
	}
	return t.count(`DELETE FROM flow WHERE (lane, source) IN (SELECT flow.lane, source FROM flow JOIN lane ON lane.id = flow.lane
		WHERE start_tag < virtual_time ORDER BY flow.lane, source LIMIT $1 FOR UPDATE OF flow SKIP LOCKED)`, limit)
}

// lastPause returns the end of the pauses that apply to a lane, which lane.paused holds: its
// own, that of its principal, and that of its connection.
func lastPause(connection, principal, mailbox string) string {
	return "greatest(coalesce((SELECT until FROM pause WHERE connection = " + connection + " AND principal = '' AND mailbox = ''), 0), " +
		"coalesce((SELECT max(until) FROM pause WHERE connection = " + connection + " AND principal = " + principal + " AND mailbox IN ('', " + mailbox + ")), 0))"
}

// pausedUntil is lastPause of the lane $1, $2, $3, and lanePaused of the lane in the table.
var (
	pausedUntil = lastPause("$1", "$2", "$3")
	lanePaused  = lastPause("lane.connection", "lane.principal", "lane.mailbox")
)

// SetReportsRead implements queue.LaneTx.
func (t *transaction) SetReportsRead(l queue.Lane, until time.Time) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write("UPDATE lane SET reports_read = $1 WHERE connection = $2 AND principal = $3 AND mailbox = $4",
		micros(until), escape(l.Connection), escape(l.Principal), escape(l.Mailbox))
	return nil
}
