package reports

import (
	"context"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
)

// The bounds of one look.
const (
	maxItems   = 2000      // Exchange Online lets a mailbox receive 3,600 messages in an hour (Exchange Online limits)
	maxReports = 50        // reports that are read
	maxTries   = 3         // to read a report that Graph fails to return, after the first
	maxContent = 256 << 10 // bytes that are read of a report; the fields and the header of the message come early
)

// pendingTime is how long a report waits for its message to have left: the answer to the send
// may have been lost.
const pendingTime = 24 * time.Hour

// maxPending bounds the reports of a mailbox that wait.
const maxPending = 200

// look reads the reports that have come to a mailbox. more reports that some were left for the
// next look.
func (w *Watcher) look(ctx context.Context, l queue.Lane, x *watch, start time.Time) (more bool, err error) {
	if err := w.retryPending(ctx, l, x, start); err != nil {
		return false, err
	}
	box, err := w.cfg.Mailbox(ctx, l)
	if err != nil {
		return false, err
	}
	in, _, err := box.Inbox(ctx, x.since, maxItems)
	if err != nil {
		return false, err
	}
	if in.Cut {
		w.log.Warn("more came to a mailbox than is looked at; there may be older non-delivery reports", "lane", l.String(), "items", len(in.Items))
	}
	until := start.Add(-overlap)
	read := 0
	for _, i := range slices.Backward(in.Items) { // the oldest first
		if !mayBeReport(i) || w.wasRead(l, i) {
			continue
		}
		if read == maxReports {
			until, more = earlier(until, i.At), true
			break
		}
		read++
		err := w.readReport(ctx, l, x, box, i)
		if graph.SearchFailed(err) && x.tries[i.ID] < maxTries { // the others must not wait for this one
			x.tries[i.ID]++
			until = earlier(until, i.At)
			continue
		}
		if err != nil && !graph.SearchFailed(err) {
			return false, err
		}
		delete(x.tries, i.ID)
		w.setRead(l, i)
	}
	if len(x.tries) > maxItems {
		clear(x.tries) // items that are no longer there
	}
	x.since = later(x.since, until)
	return more, w.queue.SetReportsRead(ctx, l, x.done())
}

// done returns the time before which nothing has to be read again after a restart.
func (x *watch) done() time.Time {
	t := x.since
	for _, p := range x.pending {
		t = earlier(t, p.item.At)
	}
	return t
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// mayBeReport reports whether an item may be a non-delivery report: by its message class or,
// where Graph does not show that, by its author.
func mayBeReport(i graph.Received) bool {
	class := strings.ToUpper(i.Class)
	if class == "" {
		return automaticAddress(i.From)
	}
	return strings.HasPrefix(class, "REPORT.") && strings.HasSuffix(class, ".NDR") // MS-OXOMSG section 2.2.3.1
}

// wasRead reports whether the item was read before. The same id may be in several lanes.
func (w *Watcher) wasRead(l queue.Lane, i graph.Received) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, was := w.read.Get(l.String() + " " + i.ID)
	return was
}

func (w *Watcher) setRead(l queue.Lane, i graph.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read.Put(l.String()+" "+i.ID, struct{}{})
}

// readReport reads one item, and records what it says if it is a report.
func (w *Watcher) readReport(ctx context.Context, l queue.Lane, x *watch, box Mailbox, i graph.Received) error {
	raw, reply, err := box.Content(ctx, i.ID, maxContent)
	if graph.NotFound(err) { // its owner was faster
		return nil
	}
	if err != nil {
		return err
	}
	r, err := parseReport(raw)
	if err != nil {
		w.log.Debug("an item is not taken for a non-delivery report", "lane", l.String(), "why", err, "request_id", reply.RequestID)
	} else {
		settled, err := w.record(ctx, l, i, r)
		if err != nil {
			return err
		}
		if !settled && time.Since(i.At) < pendingTime && len(x.pending) < maxPending {
			x.pending = append(x.pending, pending{i, r})
		}
	}
	return nil
}

// retryPending records the reports whose message has left by now.
func (w *Watcher) retryPending(ctx context.Context, l queue.Lane, x *watch, now time.Time) error {
	var rest []pending
	for _, p := range x.pending {
		settled, err := w.record(ctx, l, p.item, p.report)
		if err != nil {
			return err
		}
		if !settled && now.Sub(p.item.At) < pendingTime {
			rest = append(rest, p)
		}
	}
	x.pending = rest
	return nil
}
