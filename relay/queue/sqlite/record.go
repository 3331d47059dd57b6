package sqlite

import (
	"encoding/json"

	"graphrelay/relay/queue"
)

// The columns of a record, read by scanRecord in this order, and its tables.
const (
	statusColumns = `m.state, m.due, m.reason, m.detail, m.attempts, m.warned, m.finished,
	m.document, m.leftover, m.in_doubt, m.owner, m.fence, m.start_tag, m.body != 0, m.returns`
	recordColumns = `m.id, m.received, m.size, lane.connection, lane.principal, lane.mailbox, m.mail_from, m.recipients, m.utf8, m.dsn,
	m.header_from, m.sender, m.reply_to, m.signature, m.subject, m.message_id, m.listener, m.user, m.client, m.trace, ` + statusColumns
	recordTables = `message m JOIN lane ON lane.id = m.lane`
)

type scanner interface{ Scan(...any) error }

func scanRecord(row scanner) (r queue.Record, err error) {
	var received int64
	var to, dsn string
	var status statusRow
	err = row.Scan(append([]any{&r.ID, &received, &r.Size, &r.Lane.Connection, &r.Lane.Principal, &r.Lane.Mailbox, &r.Envelope.From, &to,
		&r.Envelope.UTF8, &dsn, &r.From, &r.Sender, &r.ReplyTo, &r.Signature, &r.Subject, &r.MessageID, &r.Listener, &r.User, &r.Client, &r.Trace},
		status.targets()...)...)
	if err != nil {
		return r, notFound(err)
	}
	r.Received, r.Status = fromMicros(received), status.status()
	// One damaged text must not hide the other messages: queue.Body's Check finds it.
	_ = json.Unmarshal([]byte(to), &r.Envelope.To)
	if dsn != "" {
		_ = json.Unmarshal([]byte(dsn), &r.Envelope.DSN)
	}
	return r, nil
}

// statusRow takes statusColumns.
type statusRow struct {
	s             queue.Status
	due, finished int64
	document      string
	returns       string
}

func (r *statusRow) targets() []any {
	s := &r.s
	return []any{&s.State, &r.due, &s.Reason, &s.Detail, &s.Attempts, &s.Warned, &r.finished,
		&r.document, &s.Progress.Leftover, &s.Progress.InDoubt, &s.Node, &s.Fence, &s.StartTag, &s.HasContent, &r.returns}
}

func (r *statusRow) status() queue.Status {
	s := r.s
	s.Due, s.Finished = fromMicros(r.due), fromMicros(r.finished)
	if r.document != "" {
		s.Progress.Document = json.RawMessage(r.document)
	}
	if r.returns != "" {
		_ = json.Unmarshal([]byte(r.returns), &s.Returns) // as above
	}
	return s
}
