package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

const pathDraft = "draft"

// job is one claimed message on its way.
type job struct {
	d      *Deliverer
	client *graph.Client
	task   queue.Task
	p      queue.Progress
	events []queue.Event // not yet recorded
	log    *slog.Logger

	body  queue.Body
	draft *graph.Message
	files []graph.Attachment
}

// pending is no failure: whether a send happened cannot be told yet.
type pending struct{ until time.Time }

func (pending) Error() string { return "waiting to see whether the message was sent" }

// unknowable: whether a send happened can never be told.
type unknowable struct{ detail string }

func (u unknowable) Error() string { return u.detail }

// run goes on from the recorded progress. nil means sent.
func (j *job) run(ctx context.Context) error {
	j.p.Path = pathDraft
	if !j.p.SendWanted.IsZero() {
		sent, err := j.resolveSend(ctx)
		if sent || err != nil {
			return err
		}
		return j.send(ctx)
	}
	if err := j.convert(ctx); err != nil {
		return err
	}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	return j.send(ctx)
}

// convert reads the stored message into a draft and its files.
func (j *job) convert(ctx context.Context) error {
	body, err := j.d.work.Open(ctx, j.task.ID)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	j.body = body
	msg, err := mime.Parse(body, body.Size(), j.d.cfg.MIME)
	if err != nil {
		return fmt.Errorf("read the stored message: %w", err)
	}
	var notes []string
	j.draft, j.files, notes = convert(msg, j.task.Record, j.d.cfg.MessageIDHost)
	for _, n := range notes {
		j.event("converted", n, graph.Reply{})
	}
	return nil
}

func (j *job) close() {
	if j.body != nil {
		_ = j.body.Close()
	}
}

// prepare makes the draft and its attachments complete. A draft that vanished
// before its send was ever asked for can be made anew, once a try.
func (j *job) prepare(ctx context.Context) error {
	err := j.ensureDraft(ctx)
	if err == nil {
		err = j.attachAll(ctx)
	}
	if !graph.NotFound(err) || j.p.DraftID == "" {
		return err
	}
	j.event("draft vanished", "making it anew", graph.Reply{})
	j.forgetDraft()
	if err := j.ensureDraft(ctx); err != nil {
		return err
	}
	return j.attachAll(ctx)
}

func (j *job) forgetDraft() {
	j.p = queue.Progress{Path: j.p.Path}
}

// errSent tells ensureDraft's caller that the look-up found the message sent.
var errSent = errors.New("the message was sent before")

// ensureDraft creates the draft, or finds the one that an earlier try may have
// made without learning its id.
func (j *job) ensureDraft(ctx context.Context) error {
	if j.p.DraftID != "" {
		return j.recount(ctx)
	}
	if j.p.DraftWanted {
		found, err := j.findDraft(ctx)
		if found || err != nil {
			return err
		}
	}
	j.p.DraftWanted = true // recorded by the claim
	id, reply, err := j.client.CreateDraft(ctx, j.mailbox(), j.draft)
	if sendDenied(err) && j.draft.Sender != nil {
		j.event("sender dropped", "the mailbox may not name "+j.draft.Sender.EmailAddress.Address+" as sender", reply)
		j.draft.Sender = nil
		id, reply, err = j.client.CreateDraft(ctx, j.mailbox(), j.draft)
	}
	if err != nil {
		j.p.DraftWanted = ambiguous(err)
		return err
	}
	j.p.DraftID = id
	return j.save(ctx, "draft created", fmt.Sprintf("%d attachments to come", len(j.files)), reply)
}

// findDraft looks the draft up by the queue ID that it carries. Copies beyond
// the first are drafts that nobody knows of: they are removed.
func (j *job) findDraft(ctx context.Context) (found bool, err error) {
	items, reply, err := j.client.Find(ctx, j.mailbox(), j.task.ID)
	if err != nil {
		return false, err
	}
	for _, item := range items {
		if !item.IsDraft {
			j.event("found sent", "", reply)
			return true, errSent
		}
	}
	if len(items) == 0 {
		j.event("no draft found", "", reply)
		return false, nil
	}
	for _, extra := range items[1:] {
		if reply, err := j.client.Delete(ctx, j.mailbox(), extra.ID); err == nil {
			j.event("extra draft removed", "", reply)
		}
	}
	j.p.DraftID = items[0].ID
	if err := j.save(ctx, "draft found", "", reply); err != nil {
		return true, err
	}
	return true, j.recount(ctx)
}

// recount asks the draft how many attachments it has: the answer to the last one
// may have been lost. They are added one after another, so the count says which.
func (j *job) recount(ctx context.Context) error {
	if len(j.files) == 0 {
		return nil
	}
	n, reply, err := j.client.Attachments(ctx, j.mailbox(), j.p.DraftID)
	if err != nil {
		return err
	}
	if n == j.p.Attached {
		return nil
	}
	if n < j.p.Attached || n > len(j.files) {
		return j.discard(ctx, fmt.Sprintf("the draft has %d attachments, %d were recorded", n, j.p.Attached))
	}
	j.p.Attached, j.p.UploadURL, j.p.UploadOffset = n, "", 0
	return j.save(ctx, "attachments counted", fmt.Sprintf("%d of %d are there", n, len(j.files)), reply)
}

// discard removes a draft that cannot be gone on with and makes another.
func (j *job) discard(ctx context.Context, why string) error {
	reply, err := j.client.Delete(ctx, j.mailbox(), j.p.DraftID)
	if err != nil {
		return err
	}
	j.event("draft removed", why, reply)
	j.forgetDraft()
	return j.ensureDraft(ctx)
}

// send asks for the send once it is recorded that it will be.
func (j *job) send(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := time.Now()
	j.p.SendWanted, j.p.Settle = now, now.Add(j.d.cfg.SendSettle)
	if err := j.save(ctx, "send wanted", "", graph.Reply{}); err != nil {
		return err
	}
	reply, err := j.client.Send(ctx, j.mailbox(), j.p.DraftID)
	if err == nil {
		j.event("send accepted", "", reply)
		return nil
	}
	if !ambiguous(err) {
		j.p.Settle = now // a clear refusal: an item that still is a draft then may be sent again
	}
	return err
}

// resolveSend finds out whether a send that was asked for happened. Only an item
// that still is a draft when all doubt has settled may be sent again.
func (j *job) resolveSend(ctx context.Context) (sent bool, err error) {
	item, reply, err := j.client.Look(ctx, j.mailbox(), j.p.DraftID)
	switch {
	case graph.NotFound(err):
		return j.resolveMissing(ctx)
	case err != nil:
		return false, err
	case !item.IsDraft:
		j.event("found sent", "", reply)
		return true, nil
	case item.Submitted():
		return false, pending{time.Now().Add(maxLook)}
	case time.Now().Before(j.p.Settle):
		return false, pending{j.nextLook()}
	}
	j.event("found unsent", "sending it again", reply)
	return false, nil
}

// resolveMissing: an item is also missing for a while as it moves to Sent Items,
// and its id may have changed.
func (j *job) resolveMissing(ctx context.Context) (bool, error) {
	if time.Now().Before(j.p.Settle) {
		return false, pending{j.nextLook()}
	}
	items, reply, err := j.client.Find(ctx, j.mailbox(), j.task.ID)
	if err != nil {
		return false, err
	}
	for _, item := range items {
		if !item.IsDraft {
			j.event("found sent", "under another id", reply)
			return true, nil
		}
	}
	if len(items) > 0 {
		j.p.DraftID = items[0].ID
		return false, nil
	}
	return false, unknowable{"the send was asked for, its answer was lost, and the item is in the mailbox no more: it was sent and removed, or removed unsent; look at the recipient's side, then release it to make a new draft or delete it"}
}

const (
	minLook = 500 * time.Millisecond
	maxLook = 10 * time.Second
)

// nextLook waits longer the longer it takes, and not past the end of the doubt.
func (j *job) nextLook() time.Time {
	now := time.Now()
	wait := min(max(now.Sub(j.p.SendWanted)/2, minLook), maxLook)
	if t := now.Add(wait); t.Before(j.p.Settle) {
		return t
	}
	return j.p.Settle.Add(time.Millisecond)
}

func (j *job) mailbox() string { return j.task.Lane.Mailbox }

func (j *job) event(what, detail string, r graph.Reply) {
	j.events = append(j.events, queue.Event{At: time.Now(), What: what, Detail: detail, RequestID: r.RequestID})
}

// save records progress and the events so far; a worker that lost its claim
// learns it here and goes no further.
func (j *job) save(ctx context.Context, what, detail string, r graph.Reply) error {
	j.event(what, detail, r)
	j.log.Debug(what, "detail", detail, "request_id", r.RequestID)
	err := j.d.work.Save(ctx, j.task.Ref, j.p, j.events...)
	if err == nil {
		j.events = nil
	}
	return err
}

func ambiguous(err error) bool {
	var e *graph.Error
	return errors.As(err, &e) && e.Ambiguous
}

func sendDenied(err error) bool {
	var e *graph.Error
	return errors.As(err, &e) && e.Reason == graph.ReasonSendDenied
}
