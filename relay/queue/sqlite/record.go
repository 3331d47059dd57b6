package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"graphrelay/relay/queue"
)

// recordColumns are read by scanRecord, in this order, from recordTables.
const (
	recordColumns = `m.id, m.received, m.size, lane.connection, lane.principal, lane.mailbox, m.mail_from, m.recipients, m.utf8, m.dsn,
	m.header_from, m.sender, m.reply_to, m.signature, m.subject, m.message_id, m.listener, m.user, m.client, m.trace,
	m.state, m.due, m.reason, m.detail, m.attempts, m.warned, m.fence, m.finished,
	m.document, m.leftover, m.in_doubt`
	recordTables = `message m JOIN lane ON lane.id = m.lane`
)

type scanner interface{ Scan(...any) error }

func scanRecord(row scanner) (r queue.Record, fence int64, err error) {
	var received, due, finished int64
	var to, dsn, document string
	p := &r.Progress
	err = row.Scan(&r.ID, &received, &r.Size, &r.Lane.Connection, &r.Lane.Principal, &r.Lane.Mailbox, &r.Envelope.From, &to, &r.Envelope.UTF8, &dsn,
		&r.From, &r.Sender, &r.ReplyTo, &r.Signature, &r.Subject, &r.MessageID, &r.Listener, &r.User, &r.Client, &r.Trace,
		&r.State, &due, &r.Reason, &r.Detail, &r.Attempts, &r.Warned, &fence, &finished,
		&document, &p.Leftover, &p.InDoubt)
	if err != nil {
		return r, 0, notFound(err)
	}
	r.Received, r.Due, r.Finished = fromMicros(received), fromMicros(due), fromMicros(finished)
	if document != "" {
		p.Document = json.RawMessage(document)
	}
	// One damaged text must not hide the other messages: queue.Body's Check finds it.
	_ = json.Unmarshal([]byte(to), &r.Envelope.To)
	if dsn != "" {
		_ = json.Unmarshal([]byte(dsn), &r.Envelope.DSN)
	}
	return r, fence, nil
}

// progressColumns and progressValues belong together.
const progressColumns = `document=?, leftover=?, in_doubt=?`

func progressValues(p queue.Progress) []any {
	return []any{string(p.Document), p.Leftover, p.InDoubt}
}

func addEvents(ctx context.Context, tx *transaction, id string, events ...queue.Event) error {
	for _, e := range events {
		at := e.At
		if at.IsZero() {
			at = time.Now()
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO event (id, seq, at, what, detail, request_id)
			SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5 FROM event WHERE id=?1`,
			id, micros(at), e.What, e.Detail, e.RequestID)
		if err != nil {
			return err
		}
	}
	return nil
}

// exactlyOne turns an update that matched no row into none.
func exactlyOne(res sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return none
}
