package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

const nodeColumns = "node.id, node.name, node.lease, node.seen, node.draining, node.about"

// SetNode implements queue.UpkeepTx.
func (t *transaction) SetNode(n queue.Node) error {
	if err := t.alone(); err != nil {
		return err
	}
	about, err := json.Marshal(n.About)
	if err != nil {
		return err
	}
	t.write(`INSERT INTO node (id, name, lease, seen, about) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE
		SET name = excluded.name, lease = excluded.lease, seen = excluded.seen, about = excluded.about`,
		escape(n.ID), escape(n.Name), micros(n.Lease), micros(n.Seen), escape(string(about)))
	return nil
}

// SetDraining implements queue.UpkeepTx.
func (t *transaction) SetDraining(name string, draining bool) error {
	n, err := t.count("UPDATE node SET draining = $1 WHERE name = $2", draining, escape(name))
	if err == nil && n == 0 {
		return queue.ErrNotFound
	}
	return err
}

// EndNode implements queue.UpkeepTx. What has arrived through the node can then be confirmed.
func (t *transaction) EndNode(id string) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write("DELETE FROM node WHERE id = $1", escape(id))
	t.sweep = true
	return nil
}

// Nodes implements queue.UpkeepTx.
func (t *transaction) Nodes() (list []queue.Node, err error) {
	err = t.query(func(rows pgx.Rows) error {
		n, err := scanNode(rows)
		list = append(list, n)
		return err
	}, "SELECT "+nodeColumns+" FROM node ORDER BY id")
	return list, err
}

func scanNode(row pgx.Row, more ...any) (n queue.Node, err error) {
	var lease, seen int64
	var about string
	if err := row.Scan(append([]any{&n.ID, &n.Name, &lease, &seen, &n.Draining, &about}, more...)...); err != nil {
		return n, err
	}
	unescapeAll(&n.ID, &n.Name)
	n.Lease, n.Seen = fromMicros(lease), fromMicros(seen)
	return n, json.Unmarshal([]byte(unescape(about)), &n.About)
}

// Nodes implements queue.Reader.
func (s *storage) Nodes(ctx context.Context) (list []queue.NodeStatus, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var n queue.NodeStatus
		var err error
		n.Node, err = scanNode(rows, &n.Lanes, &n.Delivering)
		list = append(list, n)
		return err
	}, "SELECT "+nodeColumns+`, (SELECT count(*) FROM lane WHERE lane.owner = node.id),
			(SELECT count(*) FROM message WHERE state = 'delivering' AND message.owner = node.id)
		FROM node ORDER BY name, id`)
	return list, err
}

// Owner implements queue.Shared.
func (s *storage) Owner(ctx context.Context, l queue.Lane) (owner string, err error) {
	err = s.one(ctx, s.work, []any{&owner}, "SELECT owner FROM lane WHERE connection = $1 AND principal = $2 AND mailbox = $3",
		escape(l.Connection), escape(l.Principal), escape(l.Mailbox))
	if errors.Is(err, queue.ErrNotFound) {
		err = nil
	}
	return unescape(owner), err
}

// Own implements queue.SharedTx. ReadyLanes has locked the lane and read its carry.
func (t *transaction) Own(lane queue.LaneID, node string) (carry string, err error) {
	if err := t.alone(); err != nil {
		return "", err
	}
	t.writeOne(queue.ErrFenced, "UPDATE lane SET owner = $1, epoch = epoch + 1 WHERE id = $2 AND owner = ''", escape(node), int64(lane))
	return t.claims.carry[lane], nil
}

// Disown implements queue.SharedTx.
func (t *transaction) Disown(lane queue.LaneID) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write("UPDATE lane SET owner = '', epoch = epoch + 1 WHERE id = $1", int64(lane))
	return nil
}

// disown makes the lanes nobody's that a query locks.
const disown = " FOR NO KEY UPDATE SKIP LOCKED) UPDATE lane SET owner = '', epoch = epoch + 1 WHERE id IN (SELECT id FROM gone)"

// DisownIdle implements queue.SharedTx.
func (t *transaction) DisownIdle(node string, servedBefore time.Time, limit int) (int, error) {
	if err := t.alone(); err != nil {
		return 0, err
	}
	return t.count(`WITH gone AS MATERIALIZED (SELECT id FROM lane WHERE owner = $1 AND served < $2
		AND NOT EXISTS (SELECT 1 FROM message m WHERE m.lane = lane.id AND m.state = 'delivering') ORDER BY served, id LIMIT $3`+disown,
		escape(node), micros(servedBefore), limit)
}

// DisownDead implements queue.SharedTx.
func (t *transaction) DisownDead(now time.Time) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write(`WITH gone AS MATERIALIZED (SELECT id FROM lane WHERE owner <> '' AND owner NOT IN (SELECT node.id FROM node WHERE lease > $1) ORDER BY id`+disown,
		micros(now))
	return nil
}

// LaneCounts implements queue.SharedTx.
func (t *transaction) LaneCounts(now time.Time) (map[string]int, error) {
	counts := map[string]int{}
	err := t.query(func(rows pgx.Rows) error {
		var owner string
		var n int
		err := rows.Scan(&owner, &n)
		counts[unescape(owner)] = n
		return err
	}, `SELECT owner, count(*) FROM lane WHERE owner <> '' GROUP BY owner
		UNION ALL SELECT '', count(*) FROM lane WHERE owner = '' AND ready <= $1`, micros(now))
	return counts, err
}

// SetCarry implements queue.SharedTx.
func (t *transaction) SetCarry(node string, carry map[queue.Lane]string) error {
	if err := t.alone(); err != nil || len(carry) == 0 {
		return err
	}
	var connections, principals, mailboxes, values []string
	for l, c := range carry {
		connections, principals, mailboxes = append(connections, escape(l.Connection)), append(principals, escape(l.Principal)), append(mailboxes, escape(l.Mailbox))
		values = append(values, escape(c))
	}
	t.write(`WITH kept AS MATERIALIZED (SELECT lane.id, new.carry
			FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[]) AS new (connection, principal, mailbox, carry)
			JOIN lane ON lane.connection = new.connection AND lane.principal = new.principal AND lane.mailbox = new.mailbox
			WHERE lane.owner = $1 ORDER BY lane.id FOR NO KEY UPDATE OF lane)
		UPDATE lane SET carry = kept.carry FROM kept WHERE lane.id = kept.id`,
		escape(node), connections, principals, mailboxes, values)
	return nil
}

// Claimed implements queue.SharedTx.
func (t *transaction) Claimed(node string) (refs []queue.Ref, err error) {
	err = t.query(func(rows pgx.Rows) error {
		var r queue.Ref
		err := rows.Scan(&r.ID, &r.Fence)
		refs = append(refs, r)
		return err
	}, "SELECT id, fence FROM message WHERE state = 'delivering' AND owner = $1 ORDER BY id", escape(node))
	return refs, err
}
