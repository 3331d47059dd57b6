package graphmail

import (
	"context"
	"slices"
	"time"

	"graphrelay/graph"
)

// send requests the send of the draft, which is complete, once it is recorded that it will.
func (t *transfer) send(ctx context.Context) (step, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	doubtful := t.p.Send == sendRequested
	reply, err := t.mailbox.Send(ctx, t.p.DraftID, func() error { return t.requestSend(ctx) })
	if err == nil {
		t.o.backlog.add(t.Message.Lane, time.Now())
		t.done("send accepted", "", reply)
		return t.sent(ctx)
	}
	// A request after a doubtful one may be refused because the item is on its way: only
	// a refusal of the message itself says something about the earlier request.
	switch {
	case graph.MessageRefused(err) || !graph.Ambiguous(err) && !doubtful:
		t.p.refuseSend()
	case graph.Ambiguous(err):
		t.p.doubtSend(t.settle()) // Exchange may have begun only now
	}
	switch {
	case t.p.Send == sendRefused && (graph.SendAsDenied(err) || graph.RecipientRefused(err)):
		return t.replaceDraft(ctx, err)
	case !doubtful && t.fresh.mayAppear(ctx, err):
		return t.awaitDraft, nil
	case t.seen && graph.NotFound(err):
		return t.replaceDeleted(ctx, err)
	}
	return nil, err
}

// requestSend records durably that the send will be requested.
func (t *transfer) requestSend(ctx context.Context) error {
	t.p.requestSend(t.Now(), t.settle())
	t.note("send wanted", "")
	return t.save(ctx)
}

// settle returns when an item that is still a draft will no longer leave by itself, if its
// send is requested now.
func (t *transfer) settle() time.Time {
	return t.Now().Add(t.o.cfg.SendSettle + t.o.backlog.wait(t.Message.Lane, time.Now()))
}

// sent ends the message, or has its copy removed first.
func (t *transfer) sent(ctx context.Context) (step, error) {
	t.p.acceptSend()
	if !t.connection().DropCopies {
		return nil, nil
	}
	return t.removeCopy, t.save(ctx)
}

func (t *transfer) connection() Connection { return t.o.cfg.Connections[t.Message.Lane.Connection] }

// awaitDraft waits for the new draft that the send did not find. It is sent only if it then
// still is a draft.
func (t *transfer) awaitDraft(ctx context.Context) (step, error) {
	for {
		_, _, err := t.mailbox.Item(ctx, t.p.DraftID)
		if err == nil {
			return t.confirm, nil
		}
		if !t.fresh.mayAppear(ctx, err) {
			return nil, err
		}
	}
}

// replaceDraft makes the draft anew without what Exchange has refused to send: the Sender, as
// From names the author, or recipients that it names; or with another From.
func (t *transfer) replaceDraft(ctx context.Context, refused error) (step, error) {
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	if t.p.DraftID == "" || !t.adapt(refused) {
		return nil, refused
	}
	t.p.Replace = true
	t.noteRefused("replacing the draft", refused.Error(), refused)
	return t.makePlan, t.save(ctx)
}

// removeReplaced removes the draft that another one is to replace, once it was seen that it
// has not been sent although that was refused.
func (t *transfer) removeReplaced(ctx context.Context) (step, error) {
	if !t.p.Unsent {
		item, _, err := t.mailbox.Item(ctx, t.p.DraftID)
		switch {
		case graph.NotFound(err), err == nil && (!item.IsDraft || item.Submitted()):
			return t.keepReplaced()
		case err != nil:
			return nil, err
		}
		t.p.Unsent = true
		if err := t.save(ctx); err != nil {
			return nil, err
		}
	}
	if t.p.Adopted {
		t.note("draft left behind", "it is replaced")
	} else {
		reply, err := t.mailbox.remove(ctx, t.p.DraftID)
		if err != nil {
			return nil, err
		}
		t.done("draft removed", "it is replaced", reply)
	}
	t.p.restart(t.p.Path)
	if t.p.Fallback == fallbackWanted {
		t.p.Fallback = fallbackMade
	}
	t.reused, t.counted = false, false
	t.draftRecorded = false // or a crash would leave the record that this one is to be replaced
	return t.draft, nil
}

// keepReplaced replaces nothing, as the draft may have been sent: to all of its recipients,
// also those that were refused. It is watched as after a lost answer.
func (t *transfer) keepReplaced() (step, error) {
	t.note("draft not replaced", "it may have been sent although that was refused")
	t.exclude(slices.DeleteFunc(slices.Clone(t.p.Refused), func(r refusedRecipient) bool { return r.Draft == t.p.DraftID }))
	if t.p.Fallback == fallbackWanted {
		t.p.Fallback = fallbackNone
	}
	t.p.Replace = false
	t.p.doubtSend(t.settle())
	return nil, pending{t.nextLook()}
}

// sendMail sends the message in one request, without a draft. Nothing can be looked up
// afterwards: either the application may not read mailboxes, or no copy is kept.
func (t *transfer) sendMail(ctx context.Context) (step, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	reply, err := t.requestSendMail(ctx)
	if err == nil || graph.Ambiguous(err) {
		t.accepted()
	}
	if err == nil {
		t.o.backlog.add(t.Message.Lane, time.Now())
		t.done("send accepted", "", reply)
		t.p.acceptSend()
		return nil, nil
	}
	if !graph.Ambiguous(err) || graph.NotStarted(err) {
		t.p.forgetSend() // a clear refusal
	}
	if t.adapt(err) {
		return t.makePlan, nil
	}
	return nil, t.refusal(err)
}

func (t *transfer) requestSendMail(ctx context.Context) (graph.Reply, error) {
	record := func() error { return t.requestSend(ctx) }
	if t.plan.whole != nil {
		return t.mailbox.SendMIME(ctx, *t.plan.whole, record)
	}
	m := graph.Mail{Message: t.plan.draft, Attachments: t.plan.files, KeepCopy: !t.connection().DropCopies}
	return t.mailbox.SendMail(ctx, m, record)
}
