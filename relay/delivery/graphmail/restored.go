package graphmail

import (
	"context"
	"slices"

	"graphrelay/graph"
)

// lookSent looks whether the message was sent after the state of the queue that was restored from
// a backup. What it has left in the mailbox is found by the id of its draft, by the queue ID, or by
// its Message-ID. A message of which nothing is found is taken for one that was not sent.
func (t *transfer) lookSent(ctx context.Context) (step, error) {
	if c := t.connection(); c.SendOnly || c.DropCopies {
		return t.unknownSince("and its connection leaves nothing in the mailbox to look for")
	}
	if t.p.DraftID != "" {
		item, reply, err := t.mailbox.Item(ctx, t.p.DraftID)
		switch {
		case err != nil && !graph.NotFound(err):
			return nil, err
		case err == nil && !item.IsDraft:
			return t.foundSent(reply)
		case err == nil && item.Submitted():
			return nil, pending{t.Now().Add(maxLook)}
		}
	}
	left := func(i graph.Item) bool { return !i.IsDraft }
	byID, reply, err := t.mailbox.findByQueueID(ctx)
	if err != nil {
		return t.lookFailed(err)
	}
	if slices.ContainsFunc(byID.Items, left) {
		return t.foundSent(reply)
	}
	// The queue believes to have been stopped for a day at most, and a backup may be older.
	now := t.Wall(t.Now())
	ago := max(t.Age(), now.Sub(t.Message.Received))
	alike, reply, err := t.findAlike(ctx, ago)
	if err != nil {
		return t.lookFailed(err)
	}
	if sent := slices.DeleteFunc(alike.Items, func(i graph.Item) bool { return i.IsDraft }); len(sent) > 0 {
		twin, err := t.hasTwin(ctx, now.Add(-ago))
		if err != nil {
			return nil, err
		}
		if twin || len(sent) > 1 {
			return t.unknownSince("and " + errTwin.Error())
		}
		return t.foundSent(reply)
	}
	for _, s := range []graph.Search{byID, alike} {
		if why := proveNothing(s); why != "" {
			return t.unknownSince("and " + why)
		}
	}
	t.p.Restored = false
	t.done("not found sent", "since the backup that was restored", reply)
	return t.first(), t.save(ctx)
}

func (t *transfer) foundSent(reply graph.Reply) (step, error) {
	t.done("found sent", "since the backup that was restored", reply)
	t.p.acceptSend()
	return nil, nil
}

// lookFailed has a search repeated that may succeed.
func (t *transfer) lookFailed(err error) (step, error) {
	if !searchTried(err) || graph.Temporary(err) {
		return nil, err
	}
	return t.unknownSince("and the mailbox cannot be searched for it (" + err.Error() + ")")
}

func (t *transfer) unknownSince(why string) (step, error) {
	t.p.Restored = false
	return t.unknown("the queue was restored from a backup, since which the message may have been sent, " + why +
		"; check with a recipient, then release it to send it or delete it")
}
