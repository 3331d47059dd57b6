package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"graphrelay/relay/queue"
)

// Insert implements queue.MessageTx.
func (t *transaction) Insert(r queue.Record, lane queue.LaneID, c queue.Content) error {
	body, ok := c.(*spool)
	if !ok {
		return fmt.Errorf("a content of type %T", c)
	}
	if err := t.lookOnce(); err != nil {
		return err
	}
	to, err := json.Marshal(r.Envelope.To)
	if err != nil {
		return err
	}
	dsn, err := dsnText(r.Envelope.DSN)
	if err != nil {
		return err
	}
	_, err = t.add(`INSERT INTO message (id, received, arrived, size, sum, body, lane, mail_from, recipients, utf8, dsn,
		header_from, sender, reply_to, signature, subject, message_id, listener, user, client, trace, fallback, reception, state, due, start_tag)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		r.ID, micros(r.Received), micros(r.Arrived), r.Size, queue.Seal(body.sum, queue.SealedFields(r, string(to), dsn)...), body.kind(), lane,
		r.Envelope.From, string(to), r.Envelope.UTF8, dsn,
		r.From, r.Sender, r.ReplyTo, r.Signature, r.Subject, r.MessageID, r.Listener, r.User, r.Client, r.Trace, r.Fallback, r.Reception.Text(),
		r.State, micros(r.Due), r.StartTag)
	if err == nil && r.State == queue.Queued {
		err = t.setQueued(r.Lane, lane)
	}
	if err != nil || body.kind() == bodyFile {
		return err
	}
	t.bodies = append(t.bodies, body)
	_, err = t.add("INSERT INTO body (id, data) VALUES (?,?)", r.ID, body.bytes())
	return err
}

// lookOnce looks once for each commit whether the files are still there.
func (t *transaction) lookOnce() error {
	if t.present == nil {
		err := t.missing()
		t.present = &err
	}
	return *t.present
}

func dsnText(d queue.DSN) (string, error) {
	if d.Return == "" && d.EnvelopeID == "" && len(d.Recipients) == 0 {
		return "", nil
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// Record implements queue.MessageTx.
func (t *transaction) Record(id string) (queue.Record, error) {
	return scanRecord(t.row("SELECT "+recordColumns+" FROM "+recordTables+" WHERE m.id=?", id))
}

// Status implements queue.MessageTx.
func (t *transaction) Status(id string) (queue.Status, error) {
	var r statusRow
	unreadable, err := scan(t.row("SELECT "+statusColumns+" FROM message m WHERE id=?", id), r.targets())
	s := r.status()
	s.Unreadable = unreadable
	return s, err
}

// SetStatus implements queue.MessageTx.
func (t *transaction) SetStatus(id string, s queue.Status) error {
	returns, err := returnsText(s.Returns)
	if err != nil {
		return err
	}
	err = t.one(queue.ErrNotFound, `UPDATE message SET state=?, due=?, reason=?, detail=?, attempts=?, warned=?, finished=?,
		document=?, leftover=?, in_doubt=?, owner=?, fence=?, start_tag=?, returns=?, body=CASE WHEN ? THEN body ELSE 0 END WHERE id=?`,
		s.State, micros(s.Due), s.Reason, s.Detail, s.Attempts, s.Warned, micros(s.Finished),
		string(s.Progress.Document), s.Progress.Leftover, s.Progress.InDoubt, s.Node, s.Fence, s.StartTag, returns, s.HasContent, id)
	if err != nil || s.HasContent {
		return err
	}
	return t.removeBody(id)
}

func returnsText(list []queue.Return) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// removeBody removes the content, its file once the transaction is durable.
func (t *transaction) removeBody(id string) error {
	n, err := t.count("DELETE FROM body WHERE id=?", id)
	if err == nil && n == 0 {
		t.files = append(t.files, id)
	}
	return err
}

// SaveProgress implements queue.MessageTx.
func (t *transaction) SaveProgress(ref queue.Ref, p queue.Progress) error {
	return t.one(queue.ErrFenced, "UPDATE message SET document=?, leftover=?, in_doubt=? WHERE id=? AND fence=? AND owner=? AND state='delivering'",
		string(p.Document), p.Leftover, p.InDoubt, ref.ID, ref.Fence, ref.Node)
}

// AddEvents implements queue.MessageTx.
func (t *transaction) AddEvents(id string, events ...queue.Event) error {
	for _, e := range events {
		if e.At.IsZero() {
			e.At = time.Now()
		}
		err := t.exec(`INSERT INTO event (id, seq, at, what, detail, request_id, took)
			SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM event WHERE id=?1`,
			id, micros(e.At), e.What, e.Detail, e.RequestID, e.Took.Microseconds())
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove implements queue.MessageTx.
func (t *transaction) Remove(id string) error {
	if err := t.removeBody(id); err != nil {
		return err
	}
	if err := t.exec("DELETE FROM event WHERE id=?", id); err != nil {
		return err
	}
	return t.exec("DELETE FROM message WHERE id=?", id)
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return queue.ErrNotFound
	}
	return err
}
