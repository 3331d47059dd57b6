package postgres

import (
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// The columns of a record, read by scanRecord in this order, and its tables.
const (
	statusColumns = `m.lane, m.state, m.due, m.reason, m.detail, m.attempts, m.warned, m.finished,
	m.document, m.leftover, m.in_doubt, m.owner, m.fence, m.start_tag, m.body, m.returns`
	recordColumns = `m.id, m.received, m.arrived, m.size, lane.connection, lane.principal, lane.mailbox, lane.paused, m.mail_from, m.recipients, m.utf8, m.dsn,
	m.header_from, m.sender, m.reply_to, m.signature, m.subject, m.message_id, m.listener, m."user", m.client, m.trace, m.fallback, ` + statusColumns
	recordTables = `message m JOIN lane ON lane.id = m.lane`
)

// scanRecord reads a record. JSON in it that is damaged must not hide the other messages: it
// is returned as far as it can be read, and queue.Body's Check finds out. The row may have more
// columns.
func scanRecord(row pgx.Row, more ...any) (r queue.Record, lane queue.LaneID, err error) {
	var received, arrived, paused int64
	var to, dsn string
	var status statusRow
	err = row.Scan(append([]any{&r.ID, &received, &arrived, &r.Size, &r.Lane.Connection, &r.Lane.Principal, &r.Lane.Mailbox, &paused, &r.Envelope.From, &to,
		&r.Envelope.UTF8, &dsn, &r.From, &r.Sender, &r.ReplyTo, &r.Signature, &r.Subject, &r.MessageID, &r.Listener, &r.User, &r.Client, &r.Trace, &r.Fallback},
		append(status.targets(), more...)...)...)
	if err != nil {
		return r, 0, err
	}
	unescapeAll(&r.Lane.Connection, &r.Lane.Principal, &r.Lane.Mailbox, &r.Envelope.From, &r.From, &r.Sender, &r.ReplyTo, &r.Signature,
		&r.Subject, &r.MessageID, &r.Listener, &r.User, &r.Client, &r.Fallback)
	r.Received, r.Arrived, r.Status, r.PausedUntil = fromMicros(received), fromMicros(arrived), status.status(), fromMicros(paused)
	r.Envelope.To = readList(to)
	if dsn != "" {
		_ = json.Unmarshal([]byte(unescape(dsn)), &r.Envelope.DSN)
	}
	return r, status.lane, nil
}

// statusRow takes statusColumns.
type statusRow struct {
	s             queue.Status
	lane          queue.LaneID
	state, why    string
	due, finished int64
	document      string
	returns       string
}

func (r *statusRow) targets() []any {
	s := &r.s
	return []any{&r.lane, &r.state, &r.due, &r.why, &s.Detail, &s.Attempts, &s.Warned, &r.finished,
		&r.document, &s.Progress.Leftover, &s.Progress.InDoubt, &s.Node, &s.Fence, &s.StartTag, &s.HasContent, &r.returns}
}

func (r *statusRow) status() queue.Status {
	s := r.s
	unescapeAll(&s.Detail, &s.Node)
	s.State, s.Reason = queue.State(r.state), reason.Reason(r.why)
	s.Due, s.Finished = fromMicros(r.due), fromMicros(r.finished)
	if r.document != "" {
		s.Progress.Document = json.RawMessage(unescape(r.document))
	}
	if r.returns != "" {
		_ = json.Unmarshal([]byte(unescape(r.returns)), &s.Returns)
	}
	return s
}

// writeList returns a list of texts as a JSON array.
func writeList(list []string) (string, error) {
	text, err := json.Marshal(escapeEach(list))
	return string(text), err
}

func readList(text string) (list []string) {
	_ = json.Unmarshal([]byte(text), &list)
	for i := range list {
		list[i] = unescape(list[i])
	}
	return list
}
