package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/reason"
)

// maxSameID bounds how many messages with one Message-ID are looked at: clients send a
// message to many recipients as one each, under the same Message-ID.
const maxSameID = 1000

// LeftAs implements Returns. A message without a Message-ID of its own was given one that
// begins with its queue ID.
func (q *Queue) LeftAs(ctx context.Context, l Lane, messageID string) ([]Record, error) {
	if messageID == "" {
		return nil, nil
	}
	list, err := q.storage.LeftAs(ctx, l, messageID, maxSameID)
	if err != nil || len(list) > 0 {
		return list, err
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(messageID, "<"), "@")
	if !ValidID(id) {
		return nil, nil
	}
	r, _, err := q.Get(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Lane != l || r.MessageID != "" || !r.State.Left():
		return nil, nil
	}
	return []Record{r}, nil
}

// Bounced is what a non-delivery report says of a message.
type Bounced struct {
	Returns []Return
	Reason  reason.Reason
	Detail  string
	Events  []Event
	// Notification is a message of the relay's own about it, or nil. It is queued in the
	// same commit.
	Notification *Submission
}

// MarkReturned implements Returns.
func (q *Queue) MarkReturned(ctx context.Context, id string, r Bounced) error {
	err := q.storage.Update(ctx, func(tx Tx) error {
		s, err := tx.Status(id)
		if errors.Is(err, ErrNotFound) || err == nil && (!s.State.Left() || overlap(s.Returns, r.Returns)) {
			return ErrFenced
		}
		if err != nil {
			return err
		}
		s.State, s.Reason, s.Detail = Returned, r.Reason, r.Detail
		s.Returns = slices.Concat(s.Returns, r.Returns)
		if err := tx.SetStatus(id, s); err != nil {
			return err
		}
		if err := tx.AddEvents(id, r.Events...); err != nil || r.Notification == nil {
			return err
		}
		return q.submit(tx, r.Notification, time.Time{})
	})
	if err == nil && r.Notification != nil {
		q.accepted(int64(len(r.Notification.Body)), &r.Notification.Entry)
	}
	return err
}

// overlap reports whether both lists have a recipient.
func overlap(a, b []Return) bool {
	return slices.ContainsFunc(a, func(x Return) bool {
		return slices.ContainsFunc(b, func(y Return) bool { return x.Recipient == y.Recipient })
	})
}

// ServedLanes implements Returns. In a queue that is shared it leaves out those of other nodes.
func (q *Queue) ServedLanes(ctx context.Context, since time.Time) ([]ServedLane, error) {
	list, err := q.storage.ServedLanes(ctx, q.clock.At(since))
	if q.Shared() {
		list = slices.DeleteFunc(list, func(l ServedLane) bool { return !q.share.serves(l.Lane, l.Owner) })
	}
	for i := range list {
		list[i].Served = q.clock.Wall(list[i].Served)
	}
	return list, err
}

// Paused implements Returns.
func (q *Queue) Paused(ctx context.Context, l Lane) (bool, error) {
	return q.storage.Paused(ctx, l, q.clock.Now())
}

// SetReportsRead implements Returns.
func (q *Queue) SetReportsRead(ctx context.Context, l Lane, until time.Time) error {
	return q.storage.Update(ctx, func(tx Tx) error { return tx.SetReportsRead(l, until) })
}
