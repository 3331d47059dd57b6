package connection

import (
	"context"
	"errors"
	"log/slog"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// HeldMail is the part of the queue that releasing held mail needs.
type HeldMail interface {
	List(ctx context.Context, f queue.Filter) ([]queue.Record, error)
	Lanes(ctx context.Context) ([]queue.LaneStatus, error)
	Apply(ctx context.Context, id string, a queue.Action, by string) error
	Resume(ctx context.Context, lane queue.Lane) error
}

// ReleaseHeld releases the mail that was held because its lane had no credential,
// in each lane that ready reports to have one now. why goes into the log and the
// message's history.
//
// It works lane by lane: a list of all held messages is bounded, and messages that
// nobody will ever release could fill it.
func ReleaseHeld(ctx context.Context, q HeldMail, log *slog.Logger, why string, ready func(queue.Lane) bool) error {
	held, err := q.List(ctx, queue.Filter{States: []queue.State{queue.Held}, Reasons: []reason.Reason{reason.NotConnected}, Limit: 1})
	if err != nil || len(held) == 0 { // as nearly always
		return err
	}
	lanes, err := q.Lanes(ctx)
	for _, l := range lanes {
		if l.Messages[queue.Held] > 0 && ready(l.Lane) {
			err = errors.Join(err, ReleaseHeldIn(ctx, q, log, why, l.Lane))
		}
	}
	return err
}

// ReleaseHeldIn is ReleaseHeld for one lane, or for all lanes of a connection and
// principal.
func ReleaseHeldIn(ctx context.Context, q HeldMail, log *slog.Logger, why string, lane queue.Lane) error {
	for {
		held, err := q.List(ctx, queue.Filter{States: []queue.State{queue.Held}, Reasons: []reason.Reason{reason.NotConnected}, Lane: lane.String()})
		released := 0
		for _, m := range held {
			switch e := q.Apply(ctx, m.ID, queue.Release, why); {
			case e == nil:
				released++
				log.Info("released", "id", m.ID, "lane", m.Lane.String(), "why", why)
			case !errors.Is(e, queue.ErrState) && !errors.Is(e, queue.ErrNotFound): // changed by an operator meanwhile
				err = errors.Join(err, e)
			}
		}
		if err != nil || released == 0 {
			return err
		}
	}
}
