package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
)

// prepare makes the draft and its attachments complete. A draft that vanished
// before its send was ever asked for can be made anew; one that this try made may
// only be late to appear.
func (j *job) prepare(ctx context.Context) error {
	made := j.p.DraftID != ""
	err := j.complete(ctx)
	if !made || !graph.NotFound(err) {
		return err
	}
	j.event("draft vanished", "making it anew", graph.Reply{})
	j.astray()
	j.forgetDraft()
	return j.complete(ctx)
}

// complete counts the files once more after an earlier try, which may have asked
// for one whose effect came late.
func (j *job) complete(ctx context.Context) error {
	if err := j.ensureDraft(ctx); err != nil {
		return err
	}
	if err := j.attachAll(ctx); err != nil {
		return err
	}
	if !j.before {
		return nil
	}
	if err := j.recount(ctx); err != nil {
		return err
	}
	return j.attachAll(ctx)
}

// forgetDraft goes back to the beginning. What else may be in the mailbox stays known.
func (j *job) forgetDraft() {
	j.p = progress{Path: j.p.Path, LateDraft: j.p.LateDraft}
}

// astray notes that a draft which is not there may yet appear. What was made from MIME
// could then not be told from others.
func (j *job) astray() { j.p.LateDraft = j.p.LateDraft || j.p.Path == pathDraft }

// errSent tells ensureDraft's caller that the look-up found the message sent.
var errSent = errors.New("the message was sent before")

// ensureDraft creates the draft, or finds the one that an earlier try may have
// made without learning its id.
func (j *job) ensureDraft(ctx context.Context) error {
	if j.p.DraftID != "" {
		return j.recount(ctx)
	}
	if j.p.DraftWanted {
		if found, err := j.findDraft(ctx); found || err != nil {
			return err
		}
	}
	j.p.DraftWanted = true
	if !j.known { // usually it is: the claim recorded it
		if err := j.write(ctx); err != nil {
			return err
		}
	}
	id, reply, err := j.createDraft(ctx)
	if err != nil {
		j.p.DraftWanted = graph.Ambiguous(err)
		return err
	}
	j.p.DraftID, j.made = id, time.Now()
	if len(j.plan.files) == 0 && j.p.Path == pathDraft {
		// The record that the send is wanted holds it too; until then, its queue ID finds it.
		j.event("draft created", "", reply)
		return nil
	}
	return j.save(ctx, "draft created", fmt.Sprintf("%d attachments to come", len(j.plan.files)), reply)
}

const (
	appearStep   = 250 * time.Millisecond
	appearWithin = 8 * time.Second
)

// notYet tells, after a wait, whether the draft that this try has just made may be
// asked for again: it may not be found for a moment (reported). Given up at once, it
// would be left behind and another made.
func (j *job) notYet(ctx context.Context, err error) bool {
	age := time.Since(j.made)
	if !graph.NotFound(err) || age > appearWithin {
		return false
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(max(age, appearStep), 2*time.Second)):
	}
	return ctx.Err() == nil
}

// find looks the message up by the queue ID that it carries, or by its Message-ID
// and recipients where it was made from MIME and can carry nothing: a client may
// send one message, under one Message-ID, to each recipient alone.
func (j *job) find(ctx context.Context) ([]graph.Item, graph.Reply, error) {
	if j.p.Path != pathMIME {
		return j.mailbox().FindByQueueID(ctx, j.task.ID)
	}
	items, reply, err := j.mailbox().FindByMessageID(ctx, messageID(j.task.Record, j.d.cfg.MessageIDHost))
	others := func(i graph.Item) bool { return !maps.Equal(recipientsOf(i), addressSet(j.task.Envelope.To)) }
	return slices.DeleteFunc(items, others), reply, err
}

func recipientsOf(i graph.Item) map[string]bool {
	var all []string
	for _, r := range slices.Concat(i.To, i.Cc, i.Bcc) {
		all = append(all, r.EmailAddress.Address)
	}
	return addressSet(all)
}

// addressSet is without regard to case, as addresses are compared everywhere.
func addressSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, a := range list {
		set[strings.ToLower(a)] = true
	}
	return set
}

func (j *job) createDraft(ctx context.Context) (string, graph.Reply, error) {
	if j.plan.whole != nil {
		return j.mailbox().CreateMIMEDraft(ctx, *j.plan.whole)
	}
	id, reply, err := j.mailbox().CreateDraft(ctx, j.plan.draft)
	if graph.SendAsDenied(err) && j.dropSender(err) || graph.Invalid(err) && j.cutSubject(err) {
		id, reply, err = j.mailbox().CreateDraft(ctx, j.plan.draft)
	}
	return id, reply, err
}

// cutSubject tells whether the subject was longer than Exchange promises to take.
// One that it takes all the same stays whole.
func (j *job) cutSubject(refused error) bool {
	text := []rune(j.plan.draft.Subject)
	if len(text) <= graph.MaxSubject {
		return false
	}
	j.event("subject cut", fmt.Sprintf("after %d of %d characters: %v", graph.MaxSubject, len(text), refused), graph.Reply{})
	j.plan.draft.Subject = string(text[:graph.MaxSubject])
	return true
}

// findDraft looks for the draft. Copies beyond the first are drafts that nobody
// knows of: they are removed. What has only the Message-ID and the recipients may
// be another submission of the same mail: one that was sent is not this one, the
// send of which nobody asked for yet, and its draft is not ours to remove.
func (j *job) findDraft(ctx context.Context) (found bool, err error) {
	items, reply, err := j.find(ctx)
	if err != nil {
		return false, err
	}
	if j.p.Path == pathMIME {
		items = slices.DeleteFunc(items, func(i graph.Item) bool { return !i.IsDraft })
		items = items[:min(len(items), 1)]
	}
	for _, item := range items {
		if !item.IsDraft {
			j.event("found sent", "", reply)
			return true, errSent
		}
	}
	if len(items) == 0 {
		j.astray()
		return false, j.save(ctx, "no draft found", "", reply)
	}
	j.removeExtra(ctx, items[1:])
	j.p.DraftID = items[0].ID
	if err := j.save(ctx, "draft found", "", reply); err != nil {
		return true, err
	}
	return true, j.recount(ctx)
}

// recount asks the draft how many attachments it has: the answer to the last one
// may have been lost. They are added one after another, so the count says which.
func (j *job) recount(ctx context.Context) error {
	if len(j.plan.files) == 0 {
		return nil
	}
	n, reply, err := j.mailbox().CountAttachments(ctx, j.p.DraftID)
	if err != nil {
		return err
	}
	if n == j.p.Attached {
		return nil
	}
	if n < j.p.Attached || n > len(j.plan.files) {
		return j.discard(ctx, fmt.Sprintf("the draft has %d attachments, %d were recorded", n, j.p.Attached))
	}
	j.p.Attached, j.p.UploadURL, j.p.UploadOffset = n, "", 0
	return j.save(ctx, "attachments counted", fmt.Sprintf("%d of %d are there", n, len(j.plan.files)), reply)
}

func (j *job) removeExtra(ctx context.Context, items []graph.Item) {
	for _, extra := range items {
		reply, err := j.mailbox().Delete(ctx, extra.ID)
		if err != nil {
			j.astray()
			continue
		}
		j.event("extra draft removed", "", reply)
	}
}

// leavePath removes the draft of a path that the settings, or a newer program, no
// longer choose. Whoever may not write the mailbox any more has to leave it.
func (j *job) leavePath(ctx context.Context) error {
	from, to := j.p.Path, j.plan.path
	if j.p.DraftID != "" {
		_, err := j.mailbox().Delete(ctx, j.p.DraftID)
		if err != nil && !graph.MailboxRefused(err) {
			return err
		}
		if err != nil {
			j.event("draft left behind", err.Error(), graph.Reply{})
			j.astray()
		}
	} else if j.p.DraftWanted {
		j.astray()
	}
	j.p = progress{Path: to, LateDraft: j.p.LateDraft}
	return j.save(ctx, "path changed", "from "+from+" to "+to, graph.Reply{})
}

// discard removes a draft that cannot be gone on with and makes another.
func (j *job) discard(ctx context.Context, why string) error {
	reply, err := j.mailbox().Delete(ctx, j.p.DraftID)
	if err != nil {
		return err
	}
	j.event("draft removed", why, reply)
	j.forgetDraft()
	return j.ensureDraft(ctx)
}
