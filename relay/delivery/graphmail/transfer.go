package graphmail

import (
	"context"
	"fmt"
	"slices"
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
	noted     []string // what the history has of the conversion, beside losses
	trial     *trial   // what has been left out since Graph refused the draft; nil: nothing
}

// A step does one thing to send the message and returns the next step, or nil if the
// message is sent. An error ends the attempt; the next one starts at first.
//
//	first         makePlan; confirm after a send was requested; removeCopy after it was sent;
//	              lookSent before these after the queue was restored
//	lookSent      -> first, unless it was sent
//	makePlan      -> draft or sendMail
//	draft         -> countFiles of a known draft, findDraft of one that may exist, or createDraft
//	findDraft     -> countFiles, or createDraft if there is none
//	createDraft   -> attach
//	countFiles    -> attach, or draft after it removed a draft that cannot be continued
//	attach        -> countFiles once if an earlier attempt may have added files, then send, of
//	                 MIME with Bcc recipients after checkBcc;
//	                 makePlan if a large file cannot be attached
//	checkBcc      -> send; makePlan if the draft has lost its Bcc recipients
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
	switch {
	case t.p.Restored && !t.p.requested():
		return t.lookSent
	case t.p.Send == sendNone, t.p.Replace:
		return t.makePlan
	case t.p.Send == sendAccepted:
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
	t.Holds(t.o.Needs(t.Message))
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
	t.o.cfg.noteRedirect(m, t.Message.Envelope)
	rec := t.mailbox.message
	report := lostName(m, rec, t.mailbox.owner)
	if t.p.Fallback != fallbackNone {
		rec, report = fallenBack(m, rec)
	}
	p, err := makePlan(m, s, rec, &t.o.cfg, t.p)
	if err != nil {
		return err
	}
	t.plan = p
	if err := t.planLarge(m, s, rec, what == "signature added"); err != nil {
		t.plan = nil
		return err
	}
	p, t.plan = t.plan, nil
	if t.o.cfg.RedirectAll != "" {
		report = append(report, finding{"", "redirected to " + t.o.cfg.RedirectAll})
	}
	p.report = append(report, p.report...)
	p.fixed = p.whole != nil && breaksAsJSON(m.Kind)
	if err := t.takePath(ctx, p.path); err != nil {
		return err
	}
	t.report(p.report)
	t.plan = p
	t.leaveOutKnown()
	t.holdPlan()
	return nil
}

// leaveOutKnown leaves out what the progress says, and for a new draft what Graph is known
// to refuse of the connection's messages.
func (t *transfer) leaveOutKnown() {
	if t.plan.draft == nil {
		return
	}
	t.plan.own = t.mailbox.isOwn(t.plan.draft.From)
	list := t.p.Omit
	if !t.p.DraftWanted {
		list = append(slices.Clone(list), t.o.habits.known(t.Message.Lane.Connection)...)
	}
	there := t.plan.candidates()
	list = slices.DeleteFunc(slices.Clone(list), func(o omission) bool { return !slices.Contains(there, o) })
	slices.Sort(list)
	if list = slices.Compact(list); !slices.Equal(list, t.p.Omit) {
		t.leaveOut(list)
	} else if len(list) > 0 {
		t.plan.omit(list)
	}
}

// report reports what the conversion has changed or lost.
func (t *transfer) report(list []finding) {
	for _, f := range list {
		if f.kind != "" {
			t.lose(f.kind, f.detail)
		} else if t.First() && !slices.Contains(t.noted, f.detail) {
			t.noted = append(t.noted, f.detail)
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
	if t.p.DraftID != "" && !t.p.Adopted {
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

// adapt changes the message, if it can, so that Graph may accept what it has just refused to
// create or to send. It reports whether it did; the change has to be recorded before the
// next request.
func (t *transfer) adapt(refused error) bool {
	switch {
	case refused == nil || graph.Ambiguous(refused):
		return false
	case t.excludeNamed(refused):
	case t.plan.draft != nil && t.plan.draft.Sender != nil && graph.SendAsDenied(refused): // From names the author
		t.noteRefused("refused with its sender", refused.Error(), refused)
		t.leaveOut(append(slices.Clone(t.plan.omitted), omitSender))
	case t.mayFallBack(refused):
		t.fallBack(refused)
	case t.plan.whole != nil:
		if breaksAsJSON(t.plan.kind) || t.plan.stretch || t.p.AsDraft || !graph.MIMERefused(refused) {
			return false
		}
		t.noteRefused("refused as MIME", refused.Error(), refused)
		t.p.AsDraft, t.plan = true, nil
	default:
		return t.omitNext(refused)
	}
	t.draftRecorded = false
	return true
}
