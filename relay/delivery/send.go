package delivery

import (
	"context"
	"errors"
	"time"

	"graphrelay/graph"
)

// send asks for the send once it is recorded that it will be.
func (j *job) send(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	doubtful := j.doubtful()
	reply, err := j.mailbox().Send(ctx, j.p.DraftID, func() error { return j.wantSend(ctx) })
	if err == nil {
		j.d.backlog.add(j.task.Lane, time.Now())
		return j.accepted(ctx, "send accepted", "", reply)
	}
	switch {
	case graph.MessageRefused(err) || !graph.Ambiguous(err) && !doubtful:
		j.p.Settle = j.p.SendWanted // a clear refusal: it was not sent
	case graph.Ambiguous(err):
		j.p.Settle = j.settle() // Exchange may have begun only now
	}
	if graph.SendAsDenied(err) {
		return j.withoutSender(ctx, err)
	}
	if !doubtful && j.notYet(ctx, err) {
		return j.sendOnceFound(ctx)
	}
	return err
}

// sendOnceFound waits for the new draft that the send did not find, and asks again
// only if it is a draft still.
func (j *job) sendOnceFound(ctx context.Context) error {
	_, _, err := j.mailbox().Item(ctx, j.p.DraftID)
	for j.notYet(ctx, err) {
		_, _, err = j.mailbox().Item(ctx, j.p.DraftID)
	}
	if err != nil {
		return err
	}
	if sent, err := j.resolveSend(ctx); sent || err != nil {
		return err
	}
	return j.send(ctx)
}

// withoutSender makes the draft anew without the Sender that Exchange did not let
// stand there, and sends that: From says who wrote. refused is why.
func (j *job) withoutSender(ctx context.Context, refused error) error {
	if j.plan == nil {
		if err := j.read(ctx); err != nil {
			return err
		}
	}
	old := j.p.DraftID
	if old == "" || !j.dropSender(refused) {
		return refused
	}
	j.forgetDraft()
	j.p.DraftWanted = true // until the old one is gone, a search would find it
	if err := j.save(ctx, "making the draft anew", "", graph.Reply{}); err != nil {
		return err
	}
	if _, err := j.mailbox().Delete(ctx, old); err != nil {
		return err
	}
	j.p.DraftWanted = false
	if err := j.prepare(ctx); err != nil {
		return err
	}
	return j.send(ctx)
}

// dropSender tells whether there was a Sender to drop.
func (j *job) dropSender(refused error) bool {
	if j.plan.draft == nil || j.plan.draft.Sender == nil {
		return false
	}
	j.event("sender dropped", j.plan.draft.Sender.EmailAddress.Address+": "+refused.Error(), graph.Reply{})
	j.plan.draft.Sender = nil
	return true
}

// doubtful: a send was asked for, and nothing clearly refused it. A later request
// that is refused for another reason, as one for an item on its way is, says
// nothing of the earlier one.
func (j *job) doubtful() bool { return !j.p.Accepted && j.p.Settle.After(j.p.SendWanted) }

// settle is when an item that still is a draft will not leave by itself any more.
func (j *job) settle() time.Time {
	now := time.Now()
	return now.Add(j.d.cfg.SendSettle + j.d.backlog.wait(j.task.Lane, now))
}

// wantSend records durably that the send will be asked for.
func (j *job) wantSend(ctx context.Context) error {
	j.p.SendWanted, j.p.Settle = time.Now(), j.settle()
	return j.save(ctx, "send wanted", "", graph.Reply{})
}

// sendMail sends without a draft. Nothing can be looked up afterwards: either the
// application may not read mailboxes, or no copy is kept.
func (j *job) sendMail(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	reply, err := j.post(ctx)
	if graph.SendAsDenied(err) && j.dropSender(err) || j.plan.draft != nil && graph.Invalid(err) && j.cutSubject(err) {
		reply, err = j.post(ctx)
	}
	if err == nil {
		j.d.backlog.add(j.task.Lane, time.Now())
		j.event("send accepted", "", reply)
		return nil
	}
	if !graph.Ambiguous(err) || graph.NotStarted(err) {
		j.p.SendWanted, j.p.Settle = time.Time{}, time.Time{} // a clear refusal: nothing was sent
	}
	return err
}

func (j *job) post(ctx context.Context) (graph.Reply, error) {
	record := func() error { return j.wantSend(ctx) }
	if j.plan.whole != nil {
		return j.mailbox().SendMIME(ctx, *j.plan.whole, record)
	}
	return j.mailbox().SendMail(ctx, graph.Mail{Message: j.plan.draft, Attachments: j.plan.files, KeepCopy: !j.connection().DropCopies}, record)
}

// resolve finds out about a send that was asked for.
func (j *job) resolve(ctx context.Context) (sent bool, err error) {
	if j.p.Path != pathSendMail {
		return j.resolveSend(ctx)
	}
	if j.d.cfg.ResendUnknown {
		j.event("sending again", "the answer was lost; on_unknown says resend", graph.Reply{})
		return false, nil
	}
	return false, unknowable{"the message was sent without a draft and the answer was lost: ask a recipient, then release it to send it again or delete it"}
}

// accepted ends the message, or has its copy removed first.
func (j *job) accepted(ctx context.Context, what, detail string, r graph.Reply) error {
	if !j.connection().DropCopies {
		j.event(what, detail, r)
		return nil
	}
	j.p.Accepted = true
	if err := j.save(ctx, what, detail, r); err != nil {
		return err
	}
	return j.removeCopy(ctx)
}

// removeCopy removes the sent copy once the item has left: a draft that is removed
// before would not be sent. The message counts as sent whatever becomes of it.
func (j *job) removeCopy(ctx context.Context) error {
	item, reply, err := j.mailbox().Item(ctx, j.p.DraftID)
	if err == nil && !item.IsDraft {
		if reply, err = j.mailbox().Delete(ctx, j.p.DraftID); err == nil {
			j.event("sent copy removed", "", reply)
			j.p.DraftID = ""
			return nil
		}
	}
	patient := time.Since(j.task.Received) < j.d.cfg.GiveUpAfter
	switch {
	case time.Now().Before(j.p.Settle) && (err == nil || graph.NotFound(err)):
		return pending{j.nextLook()}
	case err == nil && patient: // a mailbox with much to send takes its time
		return pending{time.Now().Add(maxLook)}
	case err == nil:
		err = errors.New("it is still on its way")
	case graph.Temporary(err) && !graph.NotFound(err) && patient:
		return err
	}
	j.event("sent copy not removed", err.Error(), reply)
	return nil
}

// resolveSend finds out whether a send that was asked for happened. Only an item
// that still is a draft when all doubt has settled may be sent again.
func (j *job) resolveSend(ctx context.Context) (sent bool, err error) {
	item, reply, err := j.mailbox().Item(ctx, j.p.DraftID)
	switch {
	case graph.NotFound(err):
		return j.resolveMissing(ctx)
	case err != nil:
		return false, err
	case !item.IsDraft:
		return true, j.accepted(ctx, "found sent", "", reply)
	case item.Submitted():
		return false, pending{j.nextLook()} // it leaves by itself
	case time.Now().Before(j.p.Settle):
		return false, pending{j.nextLook()}
	}
	j.event("found unsent", "sending it again", reply)
	return false, nil
}

// resolveMissing: an item is also missing for a while as it moves to Sent Items,
// and its id may have changed. A draft that shows up in its place is none that a
// send was asked for.
func (j *job) resolveMissing(ctx context.Context) (bool, error) {
	if time.Now().Before(j.p.Settle) {
		return false, pending{j.nextLook()}
	}
	if !j.doubtful() {
		j.event("draft vanished", "making it anew", graph.Reply{})
		j.astray()
		j.forgetDraft()
		j.p.DraftWanted = true
		return false, nil
	}
	items, reply, err := j.find(ctx)
	if err != nil {
		return false, err
	}
	for _, item := range items {
		if !item.IsDraft {
			// It may be what a mail to oneself left in the inbox: no copy is removed.
			j.event("found sent", "under another id", reply)
			j.p.DraftID = item.ID
			return true, nil
		}
	}
	for _, item := range items {
		if item.ID == j.p.DraftID {
			return false, pending{j.nextLook()}
		}
	}
	return false, unknowable{"the send was asked for, its answer was lost, and the item is in the mailbox no more: it was sent and removed, or removed unsent; look at the recipient's side, then release it to make a new draft or delete it"}
}

const (
	minLook = 500 * time.Millisecond
	maxLook = 30 * time.Second
)

// nextLook waits longer the longer it takes, but looks when the watch is over.
func (j *job) nextLook() time.Time {
	now := time.Now()
	next := now.Add(min(max(now.Sub(j.p.SendWanted)/2, minLook), maxLook))
	if now.Before(j.p.Settle) && next.After(j.p.Settle) {
		return j.p.Settle.Add(time.Millisecond)
	}
	return next
}
