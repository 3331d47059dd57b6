package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Lanes implements Operations.
func (o Local) Lanes(ctx context.Context) ([]Lane, error) {
	list, err := o.Store.Lanes(ctx)
	lanes := make([]Lane, 0, len(list))
	for _, l := range list {
		lanes = append(lanes, laneOf(l))
	}
	return lanes, err
}

// Pause implements Operations.
func (o Local) Pause(ctx context.Context, by, lane string, length time.Duration) error {
	return o.auditedOne(ctx, by, "pause", lane, func() error {
		l, err := o.parseLane(lane)
		if err != nil {
			return err
		}
		if local, domain := mailaddr.Split(l.Mailbox); l.Mailbox != "" && (local == "" || domain == "") {
			return &Error{ErrLane, fmt.Sprintf("%q is no address of a mailbox", l.Mailbox)}
		}
		until := queue.Forever
		if length > 0 {
			until = o.Store.Now().Add(length)
		}
		return o.Store.Pause(ctx, l, until, reason.Operator)
	})
}

// Resume implements Operations.
func (o Local) Resume(ctx context.Context, by, lane string) (pauses int, err error) {
	err = o.auditedOne(ctx, by, "resume", lane, func() error {
		l, err := o.parseLane(lane)
		if err != nil {
			return err
		}
		if l.Mailbox == "" {
			pauses, err = o.resumeAll(ctx, l)
			return err
		}
		if err := o.Store.Resume(ctx, l); err != nil {
			return o.notPaused(ctx, l, err)
		}
		pauses = 1
		return nil
	})
	return pauses, err
}

// resumeAll ends the pauses of a connection or a principal and of its lanes.
func (o Local) resumeAll(ctx context.Context, l queue.Lane) (pauses int, err error) {
	lanes, err := o.Store.Lanes(ctx)
	for _, of := range lanes {
		if of.PausedUntil.IsZero() || !l.Covers(of.Lane) {
			continue
		}
		switch e := o.Store.Resume(ctx, of.Lane); {
		case e == nil:
			pauses++
		case !errors.Is(e, queue.ErrNotFound): // it ended meanwhile
			err = errors.Join(err, e)
		}
	}
	if err == nil && pauses == 0 {
		err = ErrNotPaused
	}
	return pauses, err
}

// notPaused returns what to say about a lane that could not be resumed.
func (o Local) notPaused(ctx context.Context, l queue.Lane, err error) error {
	if !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	lanes, err := o.Store.Lanes(ctx)
	for _, of := range lanes {
		if of.Mailbox == "" && !of.PausedUntil.IsZero() && of.Covers(l) {
			return &PausedAsWholeError{of.Lane.String()}
		}
	}
	if err != nil {
		return err
	}
	return ErrNotPaused
}

// parseLane reads the name of a lane, or of a connection, which stands for all of its lanes. The
// connection must be one of the configuration: a misspelt one would pause nothing.
func (o Local) parseLane(name string) (queue.Lane, error) {
	l := queue.ParseLane(name)
	if !slices.Contains(o.Connections(), l.Connection) {
		return queue.Lane{}, &Error{ErrLane, fmt.Sprintf("the configuration has no connection %q; write connection/mailbox, or a connection for all of its lanes", l.Connection)}
	}
	if l.Mailbox == "" && strings.Contains(name, "/") {
		return queue.Lane{}, &Error{ErrLane, "it has no mailbox; write connection/mailbox, or the connection alone for all of its lanes"}
	}
	l.Mailbox = strings.ToLower(l.Mailbox)
	return l, nil
}
