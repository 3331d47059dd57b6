package graph

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// gate keeps what is asked of each mailbox within Graph's limits: so many requests at
// a time, and the budgets. Graph counts them for each pair of application and mailbox
// (throttling-limits, Outlook).
type gate struct {
	limit     int
	budgets   Budgets
	mu        sync.Mutex
	mailboxes map[string]*mailboxLimits
	swept     time.Time
}

type mailboxLimits struct {
	slots                   chan struct{}
	users                   int // in or waiting
	requests, upload, sends spending
	pausedUntil             time.Time // until then Graph wants to be left alone
}

// cost is what a request takes of the budgets.
type cost struct {
	upload int64
	sends  int64
	post   bool // it goes on with a message, rather than look or clean up
}

func newGate(limit int, b Budgets) *gate {
	return &gate{limit: max(limit, 1), budgets: b, mailboxes: map[string]*mailboxLimits{}, swept: time.Now()}
}

// enter waits for a place; the caller must call leave. Where a budget is used up it
// does not wait but says how long it would take, as Graph would: whoever waits holds
// up others.
func (g *gate) acquire(ctx context.Context, op, mailbox string, c cost) (release func(), err error) {
	t := g.limitsOf(mailbox)
	select {
	case t.slots <- struct{}{}:
		release = func() { <-t.slots; g.done(t) }
	case <-ctx.Done():
		g.done(t)
		return nil, &Error{Op: op, Class: ClassTemporary, Reason: ReasonCanceled, err: ctx.Err()}
	}
	if err := g.spend(t, op, c); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (g *gate) limitsOf(mailbox string) *mailboxLimits {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(time.Now())
	key := strings.ToLower(mailbox)
	t := g.mailboxes[key]
	if t == nil {
		t = &mailboxLimits{slots: make(chan struct{}, g.limit), requests: newSpending(g.budgets.Requests),
			upload: newSpending(g.budgets.Upload), sends: newSpending(g.budgets.Sends)}
		g.mailboxes[key] = t
	}
	t.users++
	return t
}

// look answers what enter would, of the budgets.
func (g *gate) check(op, mailbox string, c cost) error {
	t := g.limitsOf(mailbox)
	defer g.done(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.check(time.Now(), op, c)
}

// spend takes the cost of one request off the budgets, all of it or nothing.
func (g *gate) spend(t *mailboxLimits, op string, c cost) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if err := t.check(now, op, c); err != nil {
		return err
	}
	t.requests.spend(now, 1)
	t.upload.spend(now, c.upload)
	t.sends.spend(now, c.sends)
	return nil
}

// check says whether the budgets have room. The caller holds the gate's lock.
func (t *mailboxLimits) check(now time.Time, op string, c cost) error {
	if wait := t.pausedUntil.Sub(now); c.post && wait > 0 {
		return &Error{Op: op, Class: ClassTemporary, Reason: ReasonThrottled, RetryAfter: wait, Message: "Graph has asked to wait for the mailbox"}
	}
	for _, b := range []struct {
		spending *spending
		n        int64
		what     string
	}{{&t.requests, 1, "requests"}, {&t.upload, c.upload, "uploaded bytes"}, {&t.sends, c.sends, "messages"}} {
		if wait := b.spending.wait(now, b.n); wait > 0 {
			return &Error{Op: op, Class: ClassTemporary, Reason: ReasonThrottled, RetryAfter: wait,
				Message: fmt.Sprintf("the mailbox has had its %d %s in %s", b.spending.budget.Amount, b.what, b.spending.budget.Per)}
		}
	}
	return nil
}

// heed closes the mailbox for as long as Graph asks for: requests that wait for their
// turn would not know of it.
func (g *gate) applyRetryAfter(mailbox string, err error) {
	var e *Error
	if !errors.As(err, &e) || e.RetryAfter <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.mailboxes[strings.ToLower(mailbox)]; t != nil {
		t.pausedUntil = time.Now().Add(e.RetryAfter)
	}
}

func (g *gate) done(t *mailboxLimits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.users--
}

const sweepEvery = time.Minute

// sweep forgets the mailboxes that nobody uses and whose budgets are whole.
func (g *gate) sweep(now time.Time) {
	if now.Sub(g.swept) < sweepEvery {
		return
	}
	g.swept = now
	for key, t := range g.mailboxes {
		if t.users == 0 && now.After(t.pausedUntil) && t.requests.idle(now) && t.upload.idle(now) && t.sends.idle(now) {
			delete(g.mailboxes, key)
		}
	}
}
