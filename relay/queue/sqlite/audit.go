package sqlite

import (
	"context"
	"slices"

	"graphrelay/relay/queue"
)

// SetAudit implements queue.UpkeepTx.
func (t *transaction) SetAudit(a queue.Audit) error {
	return t.exec("INSERT OR REPLACE INTO audit (id, at, by, action, object, changed) VALUES (?,?,?,?,?,?)", a.ID, micros(a.At), a.By, a.Action, a.On, a.Changed)
}

// DropAudits implements queue.UpkeepTx.
func (t *transaction) DropAudits(keep int) error {
	return t.exec("DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?)", keep)
}

// Audits implements queue.Reader.
func (s *storage) Audits(ctx context.Context, limit int) ([]queue.Audit, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, at, by, action, object, changed FROM audit ORDER BY id DESC LIMIT ?", limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []queue.Audit
	for rows.Next() {
		var a queue.Audit
		var at int64
		if err := rows.Scan(&a.ID, &at, &a.By, &a.Action, &a.On, &a.Changed); err != nil {
			return nil, err
		}
		a.At = fromMicros(at)
		list = append(list, a)
	}
	slices.Reverse(list)
	return list, rows.Err()
}
