package operations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/queue"
)

// Local implements Operations on a queue.
type Local struct {
	Store interface {
		queue.Inspector
		queue.Controller
	}
	// Connections returns the names of those of the configuration.
	Connections func() []string
}

var _ Operations = Local{}

// Messages implements Operations.
func (o Local) Messages(ctx context.Context, f queue.Filter) ([]Message, error) {
	records, err := o.Store.List(ctx, f)
	messages := make([]Message, 0, len(records))
	for _, r := range records {
		messages = append(messages, MessageOf(r))
	}
	return messages, err
}

// Search implements Operations.
func (o Local) Search(ctx context.Context, f queue.Filter, within time.Duration) (Found, error) {
	list, err := o.Store.Search(ctx, f, within)
	found := Found{Messages: make([]Message, 0, len(list.Records)), Looked: list.Looked}
	for _, r := range list.Records {
		found.Messages = append(found.Messages, MessageOf(r))
	}
	return found, err
}

// Count implements Operations.
func (o Local) Count(ctx context.Context, f queue.Filter) (int64, error) {
	return o.Store.Count(ctx, f)
}

// Message implements Operations.
func (o Local) Message(ctx context.Context, id string) (Message, error) {
	r, events, err := o.Store.Get(ctx, id)
	if err != nil {
		return Message{}, err
	}
	m := MessageOf(r)
	m.Events = append([]queue.Event{}, events...) // [] if there are none
	return m, nil
}

// Content implements Operations. It leaves out the Received field that the relay put in front.
func (o Local) Content(ctx context.Context, id string, w io.Writer) error {
	r, _, err := o.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if !r.HasContent {
		return fmt.Errorf("%w, since it is %s", ErrNoContent, r.State)
	}
	b, err := o.Store.Open(ctx, id)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(w, io.NewSectionReader(b, r.Trace, b.Size()-r.Trace))
	return errors.Join(err, b.Check())
}

// RecordReading implements Operations. The record has the IDs of all messages, and what is no ID
// names none.
func (o Local) RecordReading(ctx context.Context, by string, r Reading, ids ...string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !queue.ValidID(id) })
	if len(ids) == 0 {
		return nil
	}
	now := time.Now()
	return o.Store.SetAudit(ctx, queue.Audit{ID: queue.NewID(now), At: now, By: by, Action: string(r), On: strings.Join(ids, " ")})
}

// Act implements Operations.
func (o Local) Act(ctx context.Context, by string, a queue.Action, ids []string, dry bool) ([]Result, error) {
	results := make([]Result, 0, len(ids))
	if dry {
		for _, id := range ids {
			r, _, err := o.Store.Get(ctx, id)
			if err == nil {
				err = a.Check(r)
			}
			results = append(results, Result{id, err})
		}
		return results, nil
	}
	err := o.audited(ctx, by, string(a), named(ids), func() (changed int64, _ error) {
		for _, id := range ids {
			err := o.Store.Apply(ctx, id, a, by)
			if err == nil {
				changed++
			}
			results = append(results, Result{id, err})
		}
		return changed, nil
	})
	return results, err
}

// ActAll implements Operations.
func (o Local) ActAll(ctx context.Context, by string, a queue.Action, f queue.Filter, dry bool) (changed int64, err error) {
	on := Selection(f)
	if f, err = a.Narrow(f); err != nil {
		return 0, err
	}
	if dry {
		n, err := o.Store.Count(ctx, f)
		if f.Limit > 0 {
			n = min(n, int64(f.Limit))
		}
		return n, err
	}
	if f.Before.IsZero() {
		f.Before = time.Now()
	}
	err = o.audited(ctx, by, string(a), on, func() (int64, error) {
		n, err := o.Store.ApplyAll(ctx, f, a, by)
		changed = int64(n)
		return changed, err
	})
	return changed, err
}

// Audits implements Operations.
func (o Local) Audits(ctx context.Context, limit int) ([]queue.Audit, error) {
	return o.Store.Audits(ctx, limit)
}

// Nodes implements Operations.
func (o Local) Nodes(ctx context.Context) ([]Node, error) {
	list, err := o.Store.Nodes(ctx)
	return nodesOf(list, o.Store.Wall(o.Store.Now())), err
}

// Drain implements Operations.
func (o Local) Drain(ctx context.Context, by, node string, drain bool) error {
	action := "drain"
	if !drain {
		action = "undrain"
	}
	return o.auditedOne(ctx, by, action, node, func() error {
		err := o.Store.Drain(ctx, node, drain)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			return ErrNoNode
		case errors.Is(err, queue.ErrNotShared):
			return &Error{queue.ErrNotShared, "the queue is this relay's alone, so no other could take over; stop the relay instead"}
		}
		return err
	})
}

// Restored records that the queue was restored from a backup, as queue.Controller does. No relay
// may work on it.
func (o Local) Restored(ctx context.Context, by string) (changed int64, err error) {
	err = o.audited(ctx, by, "restored", "all messages that wait", func() (int64, error) {
		n, err := o.Store.Restored(ctx, by)
		changed = int64(n)
		return changed, err
	})
	return changed, err
}
