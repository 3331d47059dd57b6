package queue

import "errors"

// clientKey and senderKey name the source of a message, for the sharing of a lane. The account
// alone would not do, since a hundred printers may use one, nor the address alone, since
// another mail server in front of the relay has a single one.
func clientKey(e *Entry) string { return e.User + " " + e.Client }
func senderKey(e *Entry) string { return clientKey(e) + " " + e.Envelope.From }

// startTag gives a message its place among the queued ones of its lane, which are claimed
// by start tag (start-time fair queueing; Goyal, Vin and Cheng, 1996). The messages of a
// sender have successive tags. A sender without waiting messages starts at the lane's
// virtual time, and so goes ahead of a bulk mailing, whose tags are higher. New senders of
// one client have successive tags too: a client that names another sender for each message
// is still treated as one bulk mailing.
func startTag(tx Tx, e *Entry) (Flow, int64, error) {
	f, err := tx.Flow(e.Lane, senderKey(e), clientKey(e))
	if err != nil {
		return f, 0, err
	}
	if tag := f.Sender + 1; tag > f.VirtualTime {
		return f, tag, tx.SetTag(f.Lane, senderKey(e), tag)
	}
	tag := max(f.VirtualTime, f.Client+1)
	if err := tx.SetTag(f.Lane, clientKey(e), tag); err != nil {
		return f, 0, err
	}
	return f, tag, tx.SetTag(f.Lane, senderKey(e), tag)
}

// newTag is startTag for a message that is new to a queue, which has to be open.
func newTag(tx Tx, e *Entry) (Flow, int64, error) {
	flow, tag, err := startTag(tx, e)
	if err == nil && flow.Closed {
		var closed Closed
		closed, err = tx.Closed()
		err = errors.Join(err, closed.Error())
	}
	return flow, tag, err
}
