package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

const insertMessage = `INSERT INTO message (id, received, arrived, size, sum, body, lane, mail_from, recipients, utf8, dsn,
	header_from, sender, reply_to, signature, subject, message_id, listener, "user", client, trace, fallback, reception, state, due, start_tag)
	VALUES ($1,$2,$3,$4,$5,true,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25)`

// Insert implements queue.MessageTx. The foreign key holds FOR KEY SHARE on the lane.
func (t *transaction) Insert(r queue.Record, lane queue.LaneID, c queue.Content) error {
	content, ok := c.(*content)
	if !ok {
		return fmt.Errorf("a content of type %T", c)
	}
	to, err := writeList(r.Envelope.To)
	if err != nil {
		return err
	}
	dsn, err := dsnText(r.Envelope.DSN)
	if err != nil {
		return err
	}
	t.write(insertMessage, r.ID, micros(r.Received), micros(r.Arrived), r.Size, queue.Seal(content.sum, queue.SealedFields(r, to, dsn)...), int64(lane),
		escape(r.Envelope.From), to, r.Envelope.UTF8, escape(dsn),
		escape(r.From), escape(r.Sender), escape(r.ReplyTo), escape(r.Signature), escape(r.Subject), escape(r.MessageID),
		escape(r.Listener), escape(r.User), escape(r.Client), r.Trace, escape(r.Fallback), escape(r.Reception.Text()), string(r.State), micros(r.Due), r.StartTag)
	t.bytes += int(r.Size)
	t.insertContent(r.ID, content)
	if content.own {
		t.lowerFor(lane, r.Status)
		return nil
	}
	t.write("INSERT INTO arriving (id, node, lane) VALUES ($1, $2, $3)", r.ID, escape(t.s.node), int64(lane))
	t.arrivals = append(t.arrivals, arrival{r.ID, lane})
	return nil
}

// lowerFor records when a message of the lane is due that has this status.
func (t *transaction) lowerFor(lane queue.LaneID, s queue.Status) {
	switch s.State {
	case queue.Queued:
		t.makeDue(lane, dueNow)
	case queue.Deferred:
		t.makeDue(lane, micros(s.Due))
	}
}

func dsnText(d queue.DSN) (string, error) {
	if d.Return == "" && d.EnvelopeID == "" && len(d.Recipients) == 0 {
		return "", nil
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// Record implements queue.MessageTx.
func (t *transaction) Record(id string) (r queue.Record, err error) {
	err = t.row(func(row pgx.Row) (err error) {
		r, t.lanes[id], err = scanRecord(row)
		return err
	}, "SELECT "+recordColumns+" FROM "+recordTables+" WHERE m.id = $1 FOR NO KEY UPDATE OF m", id)
	return r, err
}

// Status implements queue.MessageTx.
func (t *transaction) Status(id string) (queue.Status, error) {
	var r statusRow
	err := t.row(func(row pgx.Row) error { return row.Scan(r.targets()...) },
		"SELECT "+statusColumns+" FROM message m WHERE id = $1 FOR NO KEY UPDATE", id)
	if err == nil {
		t.lanes[id] = r.lane
	}
	return r.status(), err
}

// SetStatus implements queue.MessageTx.
func (t *transaction) SetStatus(id string, s queue.Status) error {
	returns, err := returnsText(s.Returns)
	if err != nil {
		return err
	}
	lane, ok := t.lanes[id]
	if !ok {
		if _, err := t.Status(id); err != nil {
			return err
		}
		lane = t.lanes[id]
	}
	t.writeOne(queue.ErrNotFound, `UPDATE message SET state=$1, due=$2, reason=$3, detail=$4, attempts=$5, warned=$6, finished=$7,
		document=$8, leftover=$9, in_doubt=$10, owner=$11, fence=$12, start_tag=$13, returns=$14, body=body AND $15 WHERE id=$16`,
		string(s.State), micros(s.Due), string(s.Reason), escape(s.Detail), s.Attempts, s.Warned, micros(s.Finished),
		escape(string(s.Progress.Document)), s.Progress.Leftover, s.Progress.InDoubt, escape(s.Node), s.Fence, s.StartTag, escape(returns), s.HasContent, id)
	t.lowerFor(lane, s)
	if !s.HasContent {
		t.removeContent(id)
	}
	return nil
}

func returnsText(list []queue.Return) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// SaveProgress implements queue.MessageTx. The operation fails later if it is fenced, since
// hardly any is.
func (t *transaction) SaveProgress(ref queue.Ref, p queue.Progress) error {
	t.writeOne(queue.ErrFenced, "UPDATE message SET document=$1, leftover=$2, in_doubt=$3 WHERE id=$4 AND fence=$5 AND owner=$6 AND state='delivering'",
		escape(string(p.Document)), p.Leftover, p.InDoubt, ref.ID, ref.Fence, escape(ref.Node))
	return nil
}

// AddEvents implements queue.MessageTx.
func (t *transaction) AddEvents(id string, events ...queue.Event) error {
	for _, e := range events {
		if e.At.IsZero() {
			e.At = time.Now()
		}
		t.write(`INSERT INTO event (id, seq, at, what, detail, request_id, took)
			SELECT $1, coalesce(max(seq), 0) + 1, $2, $3, $4, $5, $6 FROM event WHERE id = $1`,
			id, micros(e.At), escape(e.What), escape(e.Detail), escape(e.RequestID), e.Took.Microseconds())
	}
	return nil
}

// Remove implements queue.MessageTx.
func (t *transaction) Remove(id string) error {
	t.removeContent(id)
	t.write("DELETE FROM event WHERE id = $1", id)
	t.write("DELETE FROM arriving WHERE id = $1", id)
	t.write("DELETE FROM message WHERE id = $1", id)
	return nil
}
