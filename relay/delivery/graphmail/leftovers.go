package graphmail

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
)

const (
	// abandonTime is how long Abandon may take.
	abandonTime = time.Minute
	// lateDraftTime is how long a draft whose id was never learned may still appear.
	lateDraftTime = 10 * time.Minute
)

// Abandon implements delivery.Outlet. It removes the message's draft, also one whose id
// was never learned.
func (o *Outlet) Abandon(ctx context.Context, a *delivery.Attempt) (again time.Time) {
	ctx, cancel := context.WithTimeout(ctx, abandonTime)
	defer cancel()
	t, err := o.begin(ctx, a)
	if err != nil {
		a.Note("draft left behind", err.Error())
		return time.Time{}
	}
	defer t.end()
	return t.abandon(ctx)
}

var errSent = errors.New("it was sent although Graph refused it")

func (t *transfer) abandon(ctx context.Context) (again time.Time) {
	ids, err := t.drafts(ctx)
	for _, id := range ids {
		reply, failed := t.removeDraft(ctx, id)
		if failed != nil {
			err = failed
			continue
		}
		t.done("draft removed", "", reply)
	}
	if err != nil {
		t.note("draft left behind", err.Error())
		if errors.Is(err, errSent) { // a bounce would be untrue: it is watched as after a lost answer
			t.p.doubtSend(t.settle())
			return t.nextLook()
		}
		return time.Time{}
	}
	unknown := t.p.DraftWanted && t.p.DraftID == ""
	if unknown && t.p.anonymous() || t.p.Adopted {
		t.note("draft perhaps left behind", "it has the Message-ID "+t.mailbox.messageID)
	}
	late := t.p.LateDraft || unknown && !t.p.anonymous()
	t.p.restart(t.p.Path)
	t.p.LateDraft, t.p.Refused, t.p.Tried = late, nil, false
	return time.Time{}
}

// drafts returns the ids of the message's drafts. What only looks like an
// anonymous draft may be another's.
func (t *transfer) drafts(ctx context.Context) (ids []string, err error) {
	if t.p.DraftID != "" && !t.p.Adopted {
		return []string{t.p.DraftID}, nil
	}
	if !t.p.DraftWanted || t.p.anonymous() || t.p.Path == pathSendMail {
		return nil, nil
	}
	found, _, err := t.mailbox.findByQueueID(ctx)
	for _, item := range found.Items {
		if item.IsDraft {
			ids = append(ids, item.ID)
		}
	}
	return ids, err
}

// removeDraft removes a draft. One whose send was refused is removed only if it still is
// one: neither a copy in Sent Items nor an item on its way is.
func (t *transfer) removeDraft(ctx context.Context, id string) (graph.Reply, error) {
	if t.p.Send == sendNone {
		return t.mailbox.remove(ctx, id)
	}
	item, reply, err := t.mailbox.Item(ctx, id)
	if err == nil && (!item.IsDraft || item.Submitted()) {
		err = errSent
	}
	if err != nil && !graph.NotFound(err) {
		return reply, err
	}
	// Without this record, a crash before the failure's own would leave a send in doubt,
	// and no item to look at.
	t.NoteRequest("not sent", "", reply.RequestID, reply.Took)
	if err := t.save(ctx); err != nil {
		return reply, err
	}
	return t.mailbox.remove(ctx, id)
}

// Cleanup implements delivery.Outlet. It removes the message's drafts, but neither the copy
// of what was sent nor anything that is on its way.
func (o *Outlet) Cleanup(ctx context.Context, c queue.Cleanup) (done bool, err error) {
	log := o.cfg.Log.With("id", c.ID)
	p, err := readProgress(c.Progress)
	if err != nil {
		log.Error("cannot clean up after a message that ended", "error", err)
		return true, nil
	}
	m, err := o.openMailbox(ctx, c.Record)
	if err != nil {
		if errors.Is(err, graph.ErrNotConnected) {
			return false, err
		}
		return true, nil // the connection was removed
	}
	ids, err := m.unsent(ctx, p)
	for _, id := range ids {
		item, _, failed := m.Item(ctx, id)
		if failed == nil && item.IsDraft && !item.Submitted() {
			var reply graph.Reply
			if reply, failed = m.remove(ctx, id); failed == nil && reply.Status == http.StatusNoContent {
				log.Info("draft of an ended message removed", "draft", id)
			}
		}
		if failed != nil && !graph.NotFound(failed) {
			err = failed
		}
	}
	settled := p.DraftID != "" && !p.LateDraft // no other draft can appear
	return settled || c.Age >= lateDraftTime, err
}

// unsent returns the ids of what may be drafts of the ended message that no one sends. As
// long as the item that was sent is not found, another may be that item under another id.
func (m *mailbox) unsent(ctx context.Context, p progress) (ids []string, err error) {
	known := p.DraftID
	if known != "" && !p.Adopted && !m.message.State.Left() {
		ids = append(ids, known)
	}
	if known != "" && !p.LateDraft {
		return ids, nil
	}
	found, _, err := m.findByQueueID(ctx) // a late draft carries it
	items := found.Items
	if m.message.State.Left() && known != "" && !m.showsSent(ctx, items, known) {
		return nil, err
	}
	for _, item := range items {
		if item.IsDraft && item.ID != known {
			ids = append(ids, item.ID)
		}
	}
	return ids, err
}

// showsSent reports whether the item that was sent is one of these, or is found by the id that
// its draft had. It may have lost the queue ID when it was sent.
func (m *mailbox) showsSent(ctx context.Context, items []graph.Item, known string) bool {
	if slices.ContainsFunc(items, func(i graph.Item) bool { return i.ID == known || !i.IsDraft }) {
		return true
	}
	item, _, err := m.Item(ctx, known)
	return err == nil && !item.IsDraft
}
