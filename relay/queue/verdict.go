package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// waits is the scope of the notes about sessions that wait for the first attempt of their
// message. Such a note is there while the session waits. An attempt that ends in a refusal
// meanwhile writes an offer into it and defers the notification of the sender, until it is
// certain that the session does not accept the offer.
const waits = "wait"

// offerTime is how long a session may take to accept an offer after its wait.
const offerTime = 10 * time.Second

// offer is a refusal that the client can be told.
type offer struct {
	Refusal       string   `json:"refusal,omitempty"`
	Fence         int64    `json:"fence,omitempty"`         // of the outcome
	Notifications []string `json:"notifications,omitempty"` // that the client's answer replaces, by ID
	Told          bool     `json:"told,omitempty"`
}

func (o offer) write(tx Tx, id string, until time.Time) error {
	value, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return tx.(SharedTx).SetNote(Note{Scope: waits, Key: id, Value: string(value), Expires: until})
}

// expect records that a session waits.
func (q *Queue) expect(tx Tx, id string, e *Entry, now time.Time) error {
	if e.Wait <= 0 || !q.Shared() {
		return nil
	}
	return offer{}.write(tx, id, now.Add(e.Wait))
}

// offer offers the refusal of an outcome to the session that waits for it. It returns until
// when the notifications have to wait, the zero Time if there is no such session.
func (q *Queue) offer(tx Tx, ref Ref, o Outcome) (until time.Time, err error) {
	if o.Refusal == "" || !q.Shared() {
		return time.Time{}, nil
	}
	n, err := tx.(SharedTx).Note(waits, ref.ID, q.clock.Now())
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	made := offer{Refusal: o.Refusal, Fence: ref.Fence}
	for _, m := range o.Notifications {
		made.Notifications = append(made.Notifications, m.ID)
	}
	until = n.Expires.Add(offerTime)
	return until, made.write(tx, ref.ID, until)
}

// Verdict implements Verdicts.
func (q *Queue) Verdict(ctx context.Context, id string) (refusal string, decided bool, err error) {
	r, _, err := q.storage.Get(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", true, nil
	case err != nil, r.State == Queued, r.State == Delivering:
		return "", false, err
	case r.State != Failed && r.State != Held:
		return "", true, nil
	}
	var made offer
	err = q.storage.Update(ctx, func(tx Tx) error {
		made, _, err = q.offered(tx, id)
		return err
	})
	if errors.Is(err, ErrFenced) {
		return "", true, nil
	}
	return made.Refusal, err == nil, err
}

// offered reads what a session is offered, or returns ErrFenced.
func (q *Queue) offered(tx Tx, id string) (made offer, until time.Time, err error) {
	n, err := tx.(SharedTx).Note(waits, id, q.clock.Now())
	if errors.Is(err, ErrNotFound) {
		return made, until, ErrFenced
	}
	if err == nil {
		if err = json.Unmarshal([]byte(n.Value), &made); err != nil {
			err = fmt.Errorf("the note about a session that waits: %w", err)
		}
	}
	return made, n.Expires, err
}

// Told implements Verdicts.
func (q *Queue) Told(ctx context.Context, id string) error {
	if !q.Shared() {
		return ErrNotShared
	}
	return q.storage.Update(ctx, func(tx Tx) error {
		r, err := tx.Record(id)
		if errors.Is(err, ErrNotFound) {
			return ErrFenced
		}
		if err != nil {
			return err
		}
		made, until, err := q.offered(tx, id)
		if err != nil || made.Told {
			return err
		}
		if made.Fence != r.Fence || r.State != Failed && r.State != Held {
			return ErrFenced
		}
		for _, notification := range made.Notifications {
			if err := withdrawable(tx, notification); err != nil {
				return err
			}
		}
		for _, notification := range made.Notifications {
			if err := tx.Remove(notification); err != nil {
				return err
			}
		}
		made.Told = true
		if err := made.write(tx, id, until); err != nil {
			return err
		}
		return q.refuse(tx, r)
	})
}

// withdrawable returns ErrFenced unless the notification has waited since it was queued.
func withdrawable(tx Tx, id string) error {
	s, err := tx.Status(id)
	if errors.Is(err, ErrNotFound) || err == nil && (s.State != Deferred || s.Fence != 0) {
		return ErrFenced
	}
	return err
}

// refuse ends a message of which its client is told, and so still has.
func (q *Queue) refuse(tx Tx, r Record) error {
	s, now := r.Status, q.clock.Now()
	if s.State == Held { // for want of somebody to notify
		s.State, s.Due, s.Finished = Failed, now, q.clock.Wall(now)
		if s.Progress.Leftover {
			if err := tx.AddCleanup(Cleanup{Record: r, Since: now}); err != nil {
				return err
			}
		}
	}
	s.HasContent = false
	if err := tx.SetStatus(r.ID, s); err != nil {
		return err
	}
	return tx.AddEvents(r.ID, Event{What: "refused to the client", Detail: "in its session, which was still open; no notification is sent"})
}
