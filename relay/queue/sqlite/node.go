package sqlite

import (
	"context"
	"encoding/json"

	"graphrelay/relay/queue"
)

const nodeColumns = "id, name, lease, seen, draining, about"

// SetNode implements queue.UpkeepTx.
func (t *transaction) SetNode(n queue.Node) error {
	about, err := json.Marshal(n.About)
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO node (id, name, lease, seen, about) VALUES (?,?,?,?,?)
		ON CONFLICT DO UPDATE SET name=excluded.name, lease=excluded.lease, seen=excluded.seen, about=excluded.about`,
		n.ID, n.Name, micros(n.Lease), micros(n.Seen), string(about))
}

// SetDraining implements queue.UpkeepTx.
func (t *transaction) SetDraining(name string, draining bool) error {
	return t.one(queue.ErrNotFound, "UPDATE node SET draining=? WHERE name=?", draining, name)
}

// EndNode implements queue.UpkeepTx.
func (t *transaction) EndNode(id string) error { return t.exec("DELETE FROM node WHERE id=?", id) }

// Nodes implements queue.UpkeepTx.
func (t *transaction) Nodes() (list []queue.Node, err error) {
	rows, err := t.rows("SELECT " + nodeColumns + " FROM node ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		n, err := scanNode(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

func scanNode(rows scanner, more ...any) (n queue.Node, err error) {
	var lease, seen int64
	var about string
	if err := rows.Scan(append([]any{&n.ID, &n.Name, &lease, &seen, &n.Draining, &about}, more...)...); err != nil {
		return n, err
	}
	n.Lease, n.Seen = fromMicros(lease), fromMicros(seen)
	return n, json.Unmarshal([]byte(about), &n.About)
}

// Nodes implements queue.Reader. All lanes are the one node's.
func (s *storage) Nodes(ctx context.Context) (list []queue.NodeStatus, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+nodeColumns+`, (SELECT count(*) FROM message WHERE state='delivering' AND owner=node.id),
		(SELECT count(*) FROM lane WHERE due != 9223372036854775807) FROM node ORDER BY name, id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n queue.NodeStatus
		if n.Node, err = scanNode(rows, &n.Delivering, &n.Lanes); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}
