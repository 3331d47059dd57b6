package queue

import (
	"context"
	"time"
)

// Audit is the record of what an operator did. It is written before the first change with
// Changed 0, and again after the last one.
type Audit struct {
	ID      string    `json:"id" doc:"The ID of the record."`
	At      time.Time `json:"at" doc:"When it was done, by the wall clock."`
	By      string    `json:"by" doc:"Who did it, and by which way."`
	Action  string    `json:"action" doc:"What was done."`
	On      string    `json:"on" doc:"The messages, lanes or filters that were named."`
	Changed int64     `json:"changed" doc:"How many messages or lanes were changed. 0 means that nothing was, or that it was cut short."`
}

// keepAudits bounds how many audits are kept, the newest ones.
const keepAudits = 10_000

// SetAudit implements Controller.
func (q *Queue) SetAudit(ctx context.Context, a Audit) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.SetAudit(a) })
}

// Audits implements Inspector.
func (q *Queue) Audits(ctx context.Context, limit int) ([]Audit, error) {
	return q.storage.Audits(ctx, limit)
}

// dropAudits removes the audits that are beyond the bound.
func (q *Queue) dropAudits(ctx context.Context) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.DropAudits(keepAudits) })
}
