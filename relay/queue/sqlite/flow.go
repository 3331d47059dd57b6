package sqlite

import (
	"context"

	"graphrelay/relay/queue"
)

// client and sender name who a message comes from, for the sharing of a lane. The
// account alone would not do, since a hundred printers may use one, nor the address
// alone, since another mail server in front of the relay has but one.
func client(e *queue.Entry) string { return e.User + " " + e.Client }
func sender(e *queue.Entry) string { return client(e) + " " + e.Envelope.From }

// takeTurn gives a message its place among the new ones of its lane, which are
// claimed by turn (start-time fair queueing; Goyal, Vin and Cheng, 1996). A sender's
// messages have turns that follow one another; one who has none waiting comes in at
// the turn that the lane has come to, and so passes by a run of thousands that is
// queued beyond it. Senders who come in from one client follow one another as well:
// a run under a new address for each message is one run still.
func takeTurn(ctx context.Context, tx *transaction, lane int64, e *queue.Entry) (int64, error) {
	const last = "coalesce((SELECT start_tag FROM flow WHERE lane = lane.id AND source = ?), -1)"
	var now, afterSender, afterClient int64
	err := tx.QueryRowContext(ctx, "SELECT virtual_time, "+last+"+1, "+last+"+1 FROM lane WHERE id = ?",
		sender(e), client(e), lane).Scan(&now, &afterSender, &afterClient)
	if err != nil {
		return 0, err
	}
	if afterSender > now {
		return afterSender, setLast(ctx, tx, lane, sender(e), afterSender)
	}
	turn := max(now, afterClient)
	if err := setLast(ctx, tx, lane, client(e), turn); err != nil {
		return 0, err
	}
	return turn, setLast(ctx, tx, lane, sender(e), turn)
}

func setLast(ctx context.Context, tx *transaction, lane int64, source string, turn int64) error {
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO flow (lane, source, start_tag) VALUES (?,?,?)", lane, source, turn)
	return err
}

// takeTurnAgain is takeTurn for a message that comes back to the new ones.
func takeTurnAgain(ctx context.Context, tx *transaction, id string) error {
	var lane int64
	var e queue.Entry
	err := tx.QueryRowContext(ctx, "SELECT lane, user, client, mail_from FROM message WHERE id=?", id).
		Scan(&lane, &e.User, &e.Client, &e.Envelope.From)
	if err != nil {
		return err
	}
	turn, err := takeTurn(ctx, tx, lane, &e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE message SET start_tag=? WHERE id=?", turn, id)
	return err
}

// forgetTurns removes what says no more than that somebody has nothing waiting.
func (s *Store) forgetTurns(ctx context.Context) error {
	for {
		var removed int64
		err := s.do(ctx, func(ctx context.Context, tx *transaction) error {
			res, err := tx.ExecContext(ctx, `DELETE FROM flow WHERE (lane, source) IN (SELECT flow.lane, source
				FROM flow JOIN lane ON lane.id = flow.lane WHERE start_tag < virtual_time LIMIT ?)`, expireBatch)
			if err == nil {
				removed, err = res.RowsAffected()
			}
			return err
		})
		if err != nil || removed < expireBatch {
			return err
		}
	}
}
