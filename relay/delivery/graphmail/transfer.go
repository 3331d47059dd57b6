package graphmail

import (
	"context"
	"fmt"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
)

// transfer is one attempt to send a message by Graph.
type transfer struct {
	recorder
	o       *Outlet
	mailbox mailbox
	began   time.Time
	plan    *plan // nil as long as the message is only being looked for

	continued bool // an earlier attempt may have made a draft
	reused    bool // the draft was made by an earlier attempt
	seen      bool // it was seen as a draft that is not sent
	counted   bool // its attachments were counted after the last one was added
	fresh     newDraft
}

// A step does one thing to send the message and returns the next step, or nil if the
// message is sent. An error ends the attempt; the next one starts at first.
//
//	first         makePlan; confirm after a send was requested; removeCopy after it was sent
//	makePlan      -> draft or sendMail
//	draft         -> countFiles of a known draft, findDraft of one that may exist, or createDraft
//	findDraft     -> countFiles, or createDraft if there is none
//	createDraft   -> attach
//	countFiles    -> attach, or draft after it removed a draft that cannot be continued
//	attach        -> countFiles once if an earlier attempt may have added files, then send;
//	                 makePlan if a large file cannot be attached
//	send          -> removeCopy if no copy is wanted; draft after it replaced the draft;
//	                 awaitDraft if the new draft is not found yet; makePlan if the draft was deleted
//	awaitDraft    -> confirm
//	confirm       -> removeCopy if it was sent, send if it was not, makePlan if the draft vanished
//
// If a known draft vanished, the steps from countFiles to attach go back to draft.
type step func(context.Context) (step, error)

// run takes the steps from where the recorded progress is. It returns nil if the message
// is sent.
func (t *transfer) run(ctx context.Context) (err error) {
	for next := t.first(); next != nil && err == nil; {
		next, err = next(ctx)
	}
	return err
}

func (t *transfer) first() step {
	switch t.p.Send {
	case sendNone:
		return t.makePlan
	case sendAccepted:
		return t.removeCopy
	}
	return t.confirm
}

// makePlan reads the message and decides how it goes.
func (t *transfer) makePlan(ctx context.Context) (step, error) {
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	if t.p.Path == pathSendMail {
		return t.sendMail, nil
	}
	t.reused = t.p.DraftID != ""
	return t.draft, nil
}

// read makes the plan from the stored message, unless there is one.
func (t *transfer) read(ctx context.Context) error {
	if t.plan != nil {
		return nil
	}
	s, err := openStored(ctx, t.Attempt)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	m, err := mime.Parse(s.message, s.message.Size(), t.o.cfg.MIME)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	what, detail := t.o.cfg.sign(m, t.mailbox)
	if what != "" && t.First() {
		t.note(what, detail)
	}
	rec, report := t.Message, lostName(m, t.Message, t.mailbox.owner)
	if t.p.Fallback != fallbackNone {
		rec, report = fallenBack(m, rec)
	}
	if t.plan, err = makePlan(m, s, rec, &t.o.cfg); err != nil {
		return err
	}
	if err := t.planLarge(m, s, rec, what == "signature added"); err != nil {
		return err
	}
	t.plan.report = append(report, t.plan.report...)
	t.plan.fixed = t.plan.whole != nil && breaksAsJSON(m.Kind)
	if err := t.takePath(ctx, t.plan.path); err != nil {
		return err
	}
	t.report(t.plan.report)
	return nil
}

// report reports what the conversion has changed or lost.
func (t *transfer) report(list []finding) {
	for _, f := range list {
		if f.kind != "" {
			t.lose(f.kind, f.detail)
		} else if t.First() {
			t.note("converted", f.detail)
		}
	}
}

// takePath sets the message's path. The draft of a path that the settings, or a newer
// program, no longer choose is removed, or left where the mailbox may no longer be
// written.
func (t *transfer) takePath(ctx context.Context, path string) error {
	from := t.p.Path
	if from == "" || from == path {
		t.p.Path = path
		return nil
	}
	if t.p.DraftID != "" {
		_, err := t.mailbox.remove(ctx, t.p.DraftID)
		if err != nil && !graph.MailboxRefused(err) {
			return err
		}
		if err != nil {
			t.note("draft left behind", err.Error())
			t.p.draftMayAppear()
		}
	} else if t.p.DraftWanted {
		t.p.draftMayAppear()
	}
	t.p.restart(path)
	t.note("path changed", "from "+from+" to "+path)
	return t.save(ctx)
}

// adapt changes the planned message, if it can, so that Graph may accept what it has just
// refused. It reports whether it did.
func (t *transfer) adapt(refused error) bool {
	kind, detail := t.plan.adapt(refused)
	if kind == "" {
		return false
	}
	t.lose(kind, detail+": "+refused.Error())
	return true
}
