package sqlite

import (
	"encoding/json"
	"fmt"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// The columns of a record, read by scanRecord in this order, and its tables.
const (
	statusColumns = `m.state, m.due, m.reason, m.detail, m.attempts, m.warned, m.finished,
	m.document, m.leftover, m.in_doubt, m.owner, m.fence, m.start_tag, m.body != 0, m.returns`
	recordColumns = `m.id, m.received, m.arrived, m.size, lane.connection, lane.principal, lane.mailbox, lane.paused, m.mail_from, m.recipients, m.utf8, m.dsn,
	m.header_from, m.sender, m.reply_to, m.signature, m.subject, m.message_id, m.listener, m.user, m.client, m.trace, m.fallback, ` + statusColumns
	recordTables = `message m JOIN lane ON lane.id = m.lane`
)

type scanner interface{ Scan(...any) error }

// scanRecord reads a record. One that is damaged must not hide the other messages: it is
// returned as far as it can be read. Its text is checked by queue.Body's Check. The row may have
// more columns.
func scanRecord(row scanner, more ...any) (r queue.Record, err error) {
	var received, arrived, paused int64
	var to, dsn string
	var status statusRow
	columns := append([]any{&r.ID, &received, &arrived, &r.Size, &r.Lane.Connection, &r.Lane.Principal, &r.Lane.Mailbox, &paused, &r.Envelope.From, &to,
		&r.Envelope.UTF8, &dsn, &r.From, &r.Sender, &r.ReplyTo, &r.Signature, &r.Subject, &r.MessageID, &r.Listener, &r.User, &r.Client, &r.Trace, &r.Fallback},
		append(status.targets(), more...)...)
	unreadable, err := scan(row, columns)
	if err != nil {
		return r, err
	}
	r.Received, r.Arrived, r.Status = fromMicros(received), fromMicros(arrived), status.status()
	r.Unreadable, r.PausedUntil = unreadable, fromMicros(paused)
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

// scan reads a row into columns. It reports whether a value had another type than its
// column, which is then left at zero: STRICT tables take no such value, but a damaged page
// may hold one.
func scan(row scanner, columns []any) (unreadable bool, err error) {
	fields := make([]field, len(columns))
	targets := make([]any, len(columns))
	for i, c := range columns {
		fields[i].to, targets[i] = c, &fields[i]
		if _, ok := c.(*[]byte); ok { // of another table
			targets[i] = c
		}
	}
	if err := row.Scan(targets...); err != nil {
		return false, notFound(err)
	}
	for _, f := range fields {
		unreadable = unreadable || f.unreadable
	}
	return unreadable, nil
}

// field implements sql.Scanner for one column of a record.
type field struct {
	to         any
	unreadable bool
}

func (f *field) Scan(value any) error {
	var ok bool
	switch to := f.to.(type) {
	case *string:
		*to, ok = value.(string)
	case *queue.State:
		*to, ok = texts[queue.State](value)
	case *reason.Reason:
		*to, ok = texts[reason.Reason](value)
	case *int64:
		*to, ok = value.(int64)
	case *int:
		n, is := value.(int64)
		*to, ok = int(n), is
	case *bool:
		n, is := value.(int64)
		*to, ok = n != 0, is
	default:
		return fmt.Errorf("a column of type %T", f.to)
	}
	f.unreadable = !ok
	return nil
}

func texts[T ~string](value any) (T, bool) {
	s, ok := value.(string)
	return T(s), ok
}
