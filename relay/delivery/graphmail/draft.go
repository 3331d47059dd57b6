package graphmail

import (
	"context"
	"fmt"
	"slices"
	"time"

	"graphrelay/graph"
)

// draft goes on with the draft that there is, or may be.
func (t *transfer) draft(context.Context) (step, error) {
	switch {
	case t.p.Replace:
		return t.removeReplaced, nil
	case t.p.DraftID != "":
		return t.countFiles, nil
	case t.p.DraftWanted:
		return t.findDraft, nil
	}
	return t.createDraft, nil
}

// createDraft makes the draft, without what Graph refuses if need be. If its attachments are
// still to come, its id is recorded at once. Otherwise the record that the send is wanted
// holds it too, and until then its queue ID finds it.
func (t *transfer) createDraft(ctx context.Context) (step, error) {
	t.p.DraftWanted = true
	if !t.draftRecorded { // usually the claim has recorded it
		if err := t.save(ctx); err != nil {
			return nil, err
		}
	}
	id, reply, err := t.requestDraft(ctx)
	if err != nil {
		t.p.DraftWanted = graph.Ambiguous(err)
		if t.adapt(err) {
			return t.makePlan, nil
		}
		return t.orAnew(t.refusal(err))
	}
	t.p.DraftID, t.fresh.made = id, time.Now()
	files := len(t.plan.files)
	if files == 0 && t.p.Path == pathDraft {
		t.done("draft created", "", reply)
		return t.attach, nil
	}
	t.done("draft created", toCome(files), reply)
	return t.attach, t.save(ctx)
}

// toCome says how many files the draft is to get.
func toCome(files int) string {
	if files == 1 {
		return "1 attachment to come"
	}
	return fmt.Sprintf("%d attachments to come", files)
}

func (t *transfer) requestDraft(ctx context.Context) (string, graph.Reply, error) {
	if t.plan.whole != nil {
		return t.mailbox.CreateMIMEDraft(ctx, *t.plan.whole)
	}
	return t.mailbox.CreateDraft(ctx, t.plan.draft)
}

// findDraft looks for a draft whose id was never learned. Copies beyond the first are
// drafts that are not recorded: they are removed.
//
// One that carries no queue ID is another matter: see findAnonymousDraft.
func (t *transfer) findDraft(ctx context.Context) (step, error) {
	if t.p.anonymous() {
		return t.findAnonymousDraft(ctx)
	}
	found, reply, err := t.mailbox.findByQueueID(ctx)
	if err != nil {
		return t.giveUpDraft(ctx, err)
	}
	items := found.Items
	if slices.ContainsFunc(items, func(i graph.Item) bool { return !i.IsDraft }) {
		t.done("found sent", "", reply)
		t.p.acceptSend()
		return nil, nil
	}
	if len(items) == 0 {
		t.p.draftMayAppear()
		t.done("no draft found", "", reply)
		return t.createDraft, t.save(ctx)
	}
	t.removeExtra(ctx, items[1:])
	t.p.DraftID = items[0].ID
	t.done("draft found", "", reply)
	return t.countFiles, t.save(ctx)
}

// findAnonymousDraft looks for a draft that does not carry the queue ID and whose id was never
// learned. One that looks like it may be the mailbox owner's or of another submission of the
// same mail: an item that is older than this message is not its draft, and neither is one that
// was sent, as its send was never requested. Where it may be another's, a new draft is made.
func (t *transfer) findAnonymousDraft(ctx context.Context) (step, error) {
	found, reply, err := t.findAlike(ctx, t.Age())
	if err != nil {
		return t.giveUpDraft(ctx, err)
	}
	drafts := slices.DeleteFunc(found.Items, func(i graph.Item) bool { return !i.IsDraft })
	switch len(drafts) {
	case 0:
		t.done("no draft found", "", reply)
		return t.createDraft, t.save(ctx)
	case 1:
		twin, err := t.hasTwin(ctx, t.Message.Received)
		if err != nil {
			return nil, err
		}
		if !twin {
			t.p.DraftID, t.p.Adopted = drafts[0].ID, true
			t.done("draft found", "", reply)
			return t.countFiles, t.save(ctx)
		}
	}
	t.done("draft not told from others", "making a new one; the earlier one is perhaps left behind, with the Message-ID "+t.mailbox.messageID, reply)
	return t.createDraft, t.save(ctx)
}

// giveUpDraft makes a new draft if the earlier one cannot be searched for. No send of it
// was requested, so it is never sent; if it exists, it is removed later. An anonymous one
// would stay, so the search for it is repeated for a while if it may succeed.
func (t *transfer) giveUpDraft(ctx context.Context, err error) (step, error) {
	var hopeless bool
	switch {
	case !graph.SearchFailed(err) && !graph.TimedOut(err): // such as throttling: the search was not tried
	case t.p.anonymous() && graph.Temporary(err):
		hopeless = t.Age() >= searchPatience
	case graph.TimedOut(err):
		hopeless = t.Message.Attempts > maxSearches
	default:
		hopeless = true
	}
	if !hopeless {
		return t.orAnew(err)
	}
	t.noteRefused("draft not looked for", "making a new one: "+err.Error(), err)
	if t.p.anonymous() {
		t.note("draft perhaps left behind", "it has the Message-ID "+t.mailbox.messageID)
	}
	t.p.draftMayAppear()
	return t.createDraft, t.save(ctx)
}

// maxSearches is how many attempts may end because the search for a draft was not answered
// in time.
const maxSearches = 2

func (t *transfer) removeExtra(ctx context.Context, items []graph.Item) {
	for _, extra := range items {
		reply, err := t.mailbox.remove(ctx, extra.ID)
		if err != nil {
			t.p.draftMayAppear()
			continue
		}
		t.done("extra draft removed", "", reply)
	}
}

// countFiles asks how many attachments the draft has: the answer to the last one may have
// been lost. They are added one after another, so the number shows which there are. A
// draft that has too many, or has lost some, is removed.
func (t *transfer) countFiles(ctx context.Context) (step, error) {
	files := len(t.plan.files)
	if files == 0 {
		return t.attach, nil
	}
	n, reply, err := t.mailbox.CountAttachments(ctx, t.p.DraftID)
	switch {
	case err != nil:
		return t.orAnew(err)
	case n == t.p.Attached:
		return t.attach, nil
	case n < t.p.Attached, n > files:
		return t.discard(ctx, fmt.Sprintf("the draft has %d attachments, %d were recorded", n, t.p.Attached))
	}
	t.p.filesAttached(n)
	t.done("attachments counted", fmt.Sprintf("%d of %d are there", n, files), reply)
	return t.attach, t.save(ctx)
}

// discard removes a draft that cannot be continued. One that only looks like the message's
// is left alone.
func (t *transfer) discard(ctx context.Context, why string) (step, error) {
	if t.p.Adopted {
		t.note("draft left behind", why)
	} else {
		reply, err := t.mailbox.remove(ctx, t.p.DraftID)
		if err != nil {
			return t.orAnew(err)
		}
		t.done("draft removed", why, reply)
	}
	t.p.restart(t.p.Path)
	return t.draft, nil
}

// attach adds the files that the draft does not have yet. After an earlier attempt they
// are then counted: it may have requested one whose effect came late.
func (t *transfer) attach(ctx context.Context) (step, error) {
	t.accepted()
	a := attacher{recorder: &t.recorder, t: t, mailbox: t.mailbox, files: t.plan.files, fresh: t.fresh}
	if err := a.attachAll(ctx); err != nil {
		if t.sendWhole(err) {
			return t.makePlan, t.save(ctx)
		}
		return t.orAnew(err)
	}
	if t.continued && !t.counted {
		t.counted = true
		return t.countFiles, nil
	}
	if t.plan.hasBcc() {
		return t.checkBcc, nil
	}
	return t.send, nil
}

// orAnew starts anew if err shows that the draft of an earlier attempt has vanished.
// Otherwise it returns err: a draft that this attempt made may only be late to appear.
func (t *transfer) orAnew(err error) (step, error) {
	if !t.reused || !graph.NotFound(err) {
		return nil, err
	}
	t.note("draft vanished", "making a new one")
	t.p.draftVanished()
	t.reused, t.counted = false, false
	return t.draft, nil
}
