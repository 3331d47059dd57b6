package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"graphrelay/relay/queue"
)

// writer implements queue.Writer.
type writer struct {
	spool
	over bool
}

// Create implements queue.Intake.
func (s *Store) Create(context.Context) (queue.Writer, error) {
	if err := s.Healthy(); err != nil {
		return nil, err
	}
	return &writer{spool: spool{s: s, id: queue.NewID(time.Now())}}, nil
}

func (w *writer) ID() string { return w.id }

// Commit makes the body durable first, then its row: the row is the commit point.
func (w *writer) Commit(ctx context.Context, e queue.Entry) error {
	if w.over {
		return errors.New("commit of a message that is over")
	}
	if err := w.sync(); err != nil {
		return errors.Join(err, w.Abort())
	}
	err := w.s.do(ctx, func(ctx context.Context, tx *transaction) error { return w.insert(ctx, tx, e) })
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	w.over = true
	w.s.took(w.size)
	w.s.signal()
	return nil
}

func (w *writer) insert(ctx context.Context, tx *transaction, e queue.Entry) error {
	lane, err := laneID(ctx, tx, e.Lane)
	if err != nil {
		return err
	}
	turn, err := takeTurn(ctx, tx, lane, &e)
	if err != nil {
		return err
	}
	to, err := json.Marshal(e.Envelope.To)
	if err != nil {
		return err
	}
	dsn, err := dsnText(e.Envelope.DSN)
	if err != nil {
		return err
	}
	kind := bodyRow
	if w.f != nil {
		kind = bodyFile
	}
	now := time.Now().UnixMicro()
	_, err = tx.ExecContext(ctx, `INSERT INTO message (id, received, size, sum, body, lane, mail_from, recipients, utf8, dsn,
		header_from, sender, reply_to, signature, subject, message_id, listener, user, client, trace, state, due, start_tag)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'queued',?,?)`,
		w.id, now, w.size, seal(w.sum, e.Envelope.From, string(to), dsn), kind, lane, e.Envelope.From, string(to), e.Envelope.UTF8, dsn,
		e.From, e.Sender, e.ReplyTo, e.Signature, e.Subject, e.MessageID, e.Listener, e.User, e.Client, e.Trace, now, turn)
	if err != nil || kind == bodyFile {
		return err
	}
	data := w.mem.Bytes()
	if data == nil {
		data = []byte{} // nil would be NULL
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO body (id, data) VALUES (?,?)", w.id, data)
	return err
}

func dsnText(d queue.DSN) (string, error) {
	if d.Return == "" && d.EnvelopeID == "" && len(d.Recipients) == 0 {
		return "", nil
	}
	text, err := json.Marshal(d)
	return string(text), err
}

func (w *writer) Abort() error {
	if w.over {
		return nil
	}
	w.over = true
	return w.remove()
}

func laneID(ctx context.Context, tx *transaction, l queue.Lane) (int64, error) {
	var id int64
	err := tx.QueryRowContext(ctx, "SELECT id FROM lane WHERE connection=? AND principal=? AND mailbox=?",
		l.Connection, l.Principal, l.Mailbox).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO lane (connection, principal, mailbox) VALUES (?,?,?)", l.Connection, l.Principal, l.Mailbox)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return queue.ErrNotFound
	}
	return err
}
