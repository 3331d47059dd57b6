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

// nodeAbout is what the table says of a node.
type nodeAbout struct {
	queue.About
	Schema int `json:"schema,omitempty"` // that its program knows
}

// SetNode implements queue.UpkeepTx. A node that was cut off while the database was brought to a
// schema that it cannot use must not come back: the database counts as away for it.
func (t *transaction) SetNode(n queue.Node) error {
	if err := t.alone(); err != nil {
		return err
	}
	about, err := json.Marshal(nodeAbout{n.About, t.s.schema.version()})
	if err != nil {
		return err
	}
	t.pushQuery(func(rows pgx.Rows) error {
		err := t.s.schema.check(rows)
		if err != nil {
			t.s.lose(err)
		}
		return err
	}, selectSchema)
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

// Own implements queue.SharedTx. ReadyLanes has locked the lane and read its epoch and carry.
func (t *transaction) Own(lane queue.LaneID, node string) (epoch int64, carry string, err error) {
	if err := t.alone(); err != nil {
		return 0, "", err
	}
	t.writeOne(queue.ErrFenced, "UPDATE lane SET owner = $1, epoch = epoch + 1 WHERE id = $2 AND owner = ''", escape(node), int64(lane))
	return t.claims.epoch[lane] + 1, t.claims.carry[lane], nil
}

// Holds implements queue.SharedTx. It locks nothing, since it goes to the database together with
// the writes that depend on it and their COMMIT: a lane that changes hands meanwhile does so after
// them.
func (t *transaction) Holds(ref queue.LaneRef) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.push("SELECT 1 / count(*) FROM lane WHERE connection = $1 AND principal = $2 AND mailbox = $3 AND owner = $4 AND epoch = $5",
		[]any{escape(ref.Lane.Connection), escape(ref.Lane.Principal), escape(ref.Lane.Mailbox), escape(ref.Node), ref.Epoch}, orNone(queue.ErrFenced))
	return nil
}

// Disown implements queue.SharedTx.
func (t *transaction) Disown(lane queue.LaneID) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.write("UPDATE lane SET owner = '', epoch = epoch + 1 WHERE id = $1", int64(lane))
	return nil
}

// DisownIdle implements queue.SharedTx.
func (t *transaction) DisownIdle(node string, servedBefore time.Time, limit int) (int, error) {
	if err := t.alone(); err != nil {
		return 0, err
	}
	return t.count(`WITH gone AS MATERIALIZED (SELECT id FROM lane WHERE owner = $1 AND served < $2 AND `+nothingInDelivery+`
			ORDER BY served, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
		UPDATE lane SET owner = '', epoch = epoch + 1 WHERE id IN (SELECT id FROM gone)`, escape(node), micros(servedBefore), limit)
}

const nothingInDelivery = "NOT EXISTS (SELECT 1 FROM message m WHERE m.lane = lane.id AND m.state = 'delivering')"

// DisownDead implements queue.SharedTx. It locks the lanes first: what a claim that was under way
// has in delivery then shows. A claim that Abandoned has passed over keeps its lane from the other
// nodes until it is given back.
func (t *transaction) DisownDead(now time.Time) error {
	if err := t.alone(); err != nil {
		return err
	}
	var dead []int64
	err := t.query(func(rows pgx.Rows) error {
		var id int64
		err := rows.Scan(&id)
		dead = append(dead, id)
		return err
	}, `SELECT id FROM lane WHERE owner <> '' AND owner NOT IN (SELECT node.id FROM node WHERE lease > $1)
		ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`, micros(now))
	if err == nil && len(dead) > 0 {
		t.write("UPDATE lane SET owner = '', epoch = epoch + 1 WHERE id = ANY($1) AND "+nothingInDelivery, dead)
	}
	return err
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
func (t *transaction) SetCarry(carry map[queue.LaneRef]string) error {
	if err := t.alone(); err != nil || len(carry) == 0 {
		return err
	}
	var connections, principals, mailboxes, nodes, values []string
	var epochs []int64
	for ref, c := range carry {
		l := ref.Lane
		connections, principals, mailboxes = append(connections, escape(l.Connection)), append(principals, escape(l.Principal)), append(mailboxes, escape(l.Mailbox))
		nodes, epochs, values = append(nodes, escape(ref.Node)), append(epochs, ref.Epoch), append(values, escape(c))
	}
	t.write(`WITH kept AS MATERIALIZED (SELECT lane.id, new.carry
			FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::TEXT[]) AS new (connection, principal, mailbox, owner, epoch, carry)
			JOIN lane ON lane.connection = new.connection AND lane.principal = new.principal AND lane.mailbox = new.mailbox
			WHERE lane.owner = new.owner AND lane.epoch = new.epoch ORDER BY lane.id FOR NO KEY UPDATE OF lane)
		UPDATE lane SET carry = kept.carry FROM kept WHERE lane.id = kept.id`,
		connections, principals, mailboxes, nodes, epochs, values)
	return nil
}

// Claimed implements queue.UpkeepTx.
func (t *transaction) Claimed(node string) (free, locked []queue.Ref, err error) {
	err = t.query(func(rows pgx.Rows) error {
		r := queue.Ref{Node: node}
		var isFree bool
		if err := rows.Scan(&r.ID, &r.Fence, &isFree); err != nil {
			return err
		}
		if isFree {
			free = append(free, r)
		} else {
			locked = append(locked, r)
		}
		return nil
	}, `WITH free AS MATERIALIZED (SELECT id, fence FROM message WHERE state = 'delivering' AND owner = $1 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
		SELECT m.id, coalesce(f.fence, m.fence), f.id IS NOT NULL FROM message m LEFT JOIN free f ON f.id = m.id
		WHERE m.state = 'delivering' AND m.owner = $1 ORDER BY m.id`, escape(node))
	return free, locked, err
}
