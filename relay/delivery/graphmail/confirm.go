package graphmail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// pending is returned while it is not known yet whether the message was sent.
type pending struct{ until time.Time }

func (pending) Error() string { return "waiting to see whether the message was sent" }

// unknowable is returned if it will never be known whether the message was sent.
type unknowable string

func (u unknowable) Error() string { return string(u) }

// confirm looks whether a send that was requested has happened. Only an item that still is
// a draft when it can no longer leave by itself may be sent again.
func (t *transfer) confirm(ctx context.Context) (step, error) {
	if t.p.Path == pathSendMail {
		return t.confirmSendMail()
	}
	item, reply, err := t.mailbox.Item(ctx, t.p.DraftID)
	switch {
	case graph.NotFound(err):
		return t.confirmMissing(ctx)
	case err != nil:
		return nil, err
	case !item.IsDraft:
		t.done("found sent", "", reply)
		return t.sent(ctx)
	case item.Submitted(), t.Now().Before(t.p.Settle):
		return nil, pending{t.nextLook()}
	}
	t.done("found unsent", "sending it again", reply)
	t.seen = true
	return t.send, nil
}

// confirmMissing decides about an item that is not found. It is also missing for a while
// as it moves to Sent Items, and its id may have changed. A draft found in its
// place under another id is not the one whose send was requested.
func (t *transfer) confirmMissing(ctx context.Context) (step, error) {
	if t.Now().Before(t.p.Settle) {
		return nil, pending{t.nextLook()}
	}
	if t.p.Send == sendRefused {
		t.note("draft vanished", "making a new one")
		t.p.draftVanished()
		t.p.DraftWanted = true
		return t.makePlan, nil
	}
	found, reply, err := t.findSent(ctx)
	if errors.Is(err, errTwin) {
		return t.unknown("the send was requested, its answer was lost, and " + err.Error() + "; check with a recipient, then release it to make a new draft or delete it")
	}
	if err != nil {
		return t.confirmBlindly(err, t.Now().Sub(t.p.SendWanted))
	}
	items := found.Items
	if i := slices.IndexFunc(items, func(i graph.Item) bool { return !i.IsDraft }); i >= 0 {
		t.done("found sent", "under another id", reply)
		t.p.DraftID = items[i].ID
		t.p.acceptSend()
		return nil, nil
	}
	if slices.ContainsFunc(items, func(i graph.Item) bool { return i.ID == t.p.DraftID }) {
		return nil, pending{t.nextLook()}
	}
	if why := proveNothing(found); why != "" {
		return t.unknown("the send was requested, its answer was lost, and " + why + "; check with a recipient, then release it to make a new draft or delete it")
	}
	return nil, unknowable("the send was requested, its answer was lost, and the item is no longer in the mailbox: it was sent and removed, or removed unsent; check with a recipient, then release it to make a new draft or delete it")
}

// findSent looks for the item whose send was requested, under whatever id: by the queue ID,
// which it may have lost when it was sent, and by its Message-ID. What was sent before the
// send was requested is another item.
func (t *transfer) findSent(ctx context.Context) (graph.Search, graph.Reply, error) {
	var byID error
	if t.p.Path == pathDraft && !t.p.anonymous() {
		s, reply, err := t.mailbox.findByQueueID(ctx)
		if slices.ContainsFunc(s.Items, func(i graph.Item) bool { return !i.IsDraft || i.ID == t.p.DraftID }) || err != nil && !searchTried(err) {
			return s, reply, err
		}
		byID = err
	}
	s, reply, err := t.findAlike(ctx, t.Now().Sub(t.p.SendWanted))
	known := func(i graph.Item) bool { return i.ID == t.p.DraftID }
	s.Items = slices.DeleteFunc(s.Items, func(i graph.Item) bool { return i.IsDraft && !known(i) })
	switch {
	case err != nil, slices.ContainsFunc(s.Items, known):
		return s, reply, err
	case len(s.Items) == 0:
		return s, reply, byID
	}
	twin, err := t.hasTwin(ctx, t.Wall(t.p.SendWanted))
	if err == nil && (twin || len(s.Items) > 1) {
		err = errTwin
	}
	return s, reply, err
}

// errTwin is the error for an item that is perhaps that of another message.
var errTwin = errors.New("the item that was sent cannot be told from that of another message with the same Message-ID and recipients")

// findAlike looks for the message's items by what they show. See mailbox.findAlike.
func (t *transfer) findAlike(ctx context.Context, ago time.Duration) (graph.Search, graph.Reply, error) {
	s, err := openStored(ctx, t.Attempt)
	if err != nil {
		return graph.Search{}, graph.Reply{}, fmt.Errorf("read the stored message: %w", err)
	}
	m, err := mime.Parse(s.message, s.message.Size(), t.o.cfg.MIME)
	if err != nil {
		return graph.Search{}, graph.Reply{}, fmt.Errorf("read the stored message: %w", err)
	}
	return t.mailbox.findAlike(ctx, m.Subject, ago, t.p.DraftID)
}

// hasTwin reports whether the client has submitted the same message to the same recipients
// once more. Those that had ended before since do not count.
func (t *transfer) hasTwin(ctx context.Context, since time.Time) (bool, error) {
	list, err := t.Twins(ctx, since)
	mine := addressSet(t.o.cfg.recipients(t.Message.Envelope.To))
	return slices.ContainsFunc(list, func(r queue.Record) bool {
		return maps.Equal(addressSet(t.o.cfg.recipients(r.Envelope.To)), mine)
	}), err
}

// proveNothing returns why an item may exist that a search has not found, and "" if it would have
// found it.
func proveNothing(s graph.Search) string {
	switch {
	case s.Unreliable:
		return "look-ups in the mailbox are not reliable"
	case s.Partial:
		return "the mailbox has more items like it than are looked at"
	}
	return ""
}

// searchTried reports whether a search failed because of what the service made of it. What
// kept it from being tried, such as throttling, says nothing.
func searchTried(err error) bool { return graph.SearchFailed(err) || graph.TimedOut(err) }

// replaceDeleted makes a new draft in place of one that is shown as an unsent draft, before and
// after its send does not find it: it was deleted, and can still be read by its id.
func (t *transfer) replaceDeleted(ctx context.Context, refused error) (step, error) {
	item, reply, err := t.mailbox.Item(ctx, t.p.DraftID)
	if err != nil || !item.IsDraft || item.Submitted() {
		return nil, refused // it is on its way, and the next attempt looks for it
	}
	t.done("draft was deleted", "making a new one", reply)
	t.seen = false // if it is found again after all, the next attempt goes on
	t.p.draftVanished()
	t.p.DraftWanted = true
	return t.makePlan, nil
}

// searchPatience is how long a search that fails is repeated where the message cannot go on
// without its result: after its send, and for a draft made from MIME.
const searchPatience = 30 * time.Minute

// confirmBlindly decides about an item whose send was requested so long ago, and that is not
// found by its id and cannot be searched for. A failure of the service may pass; a refusal of
// the search does not. What kept the search from being tried, such as throttling, decides
// nothing.
func (t *transfer) confirmBlindly(err error, ago time.Duration) (step, error) {
	if !searchTried(err) || graph.Temporary(err) && ago < searchPatience {
		return nil, err
	}
	return t.unknown("the send was requested, its answer was lost, and the mailbox cannot be searched for it (" + err.Error() + "); check with a recipient, then release it to make a new draft or delete it")
}

// confirmSendMail decides about a send that cannot be looked up.
func (t *transfer) confirmSendMail() (step, error) {
	return t.unknown("the message was sent without a draft and the answer was lost: ask a recipient, then release it to send it again or delete it")
}

// unknown sends the message again or has it held, as the configuration says.
func (t *transfer) unknown(detail string) (step, error) {
	if !t.o.cfg.ResendUnknown {
		return nil, unknowable(detail)
	}
	t.note("sending again", "the answer was lost, and on_unknown is resend")
	if t.p.Path != pathSendMail {
		t.p.draftVanished()
		t.p.DraftWanted = true
	}
	return t.makePlan, nil
}

const (
	minLook = 500 * time.Millisecond
	maxLook = 30 * time.Second
)

// nextLook returns when to look again. The longer it takes the later that is, but not
// later than the end of the watch.
func (t *transfer) nextLook() time.Time {
	now := t.Now()
	next := now.Add(min(max(now.Sub(t.p.SendWanted)/2, minLook), maxLook))
	if now.Before(t.p.Settle) && next.After(t.p.Settle) {
		return t.p.Settle.Add(time.Millisecond)
	}
	return next
}

// removeCopy removes the sent copy once the item has left: a draft that is removed earlier
// would not be sent. The message is sent whatever becomes of the copy.
func (t *transfer) removeCopy(ctx context.Context) (step, error) {
	item, reply, err := t.mailbox.Item(ctx, t.p.DraftID)
	if err == nil && !item.IsDraft {
		if reply, err = t.mailbox.remove(ctx, t.p.DraftID); err == nil {
			t.done("sent copy removed", "", reply)
			t.p.DraftID = ""
			return nil, nil
		}
	}
	patient := t.Age() < t.o.cfg.GiveUpAfter
	switch {
	case t.Now().Before(t.p.Settle) && (err == nil || graph.NotFound(err)):
		return nil, pending{t.nextLook()}
	case err == nil && patient: // a mailbox with much to send takes its time
		return nil, pending{t.Now().Add(maxLook)}
	case err == nil:
		t.done("sent copy not removed", "it is still on its way", reply)
	case graph.Temporary(err) && !graph.NotFound(err) && patient:
		return nil, err
	default:
		t.NoteRequest("sent copy not removed", err.Error(), reply.RequestID, reply.Took)
	}
	return nil, nil
}
