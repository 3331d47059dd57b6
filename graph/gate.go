package graph

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// gate keeps the requests to each mailbox within Graph's limits: the number of requests at
// a time, the budgets, and the pauses that Graph asks for. Graph counts for each pair of
// application and mailbox (throttling-limits, Outlook).
type gate struct {
	limit     int
	budgets   Budgets
	mu        sync.Mutex
	mailboxes map[string]*mailboxLimits
	swept     time.Time
}

// mailboxLimits is the state of one mailbox. The gate's lock guards all but slots.
type mailboxLimits struct {
	slots                   chan struct{} // one element for each request under way
	users                   int           // requests under way or waiting
	requests, upload, sends spending
	pausedUntil             time.Time // by a Retry-After
}

// cost is what a request takes of the budgets, beside one request.
type cost struct {
	upload   int64
	sends    int64
	pausable bool // the request waits for the end of a pause: it is not a look-up or a clean-up
}

func newGate(limit int, b Budgets) *gate {
	return &gate{limit: max(limit, 1), budgets: b, mailboxes: map[string]*mailboxLimits{}, swept: time.Now()}
}

// acquire waits for one of the mailbox's slots. The caller must call release. If a budget
// is used up, acquire does not wait but returns a throttling error with the time to wait,
// as Graph does: a request that waits here would delay others.
func (g *gate) acquire(ctx context.Context, op, mailbox string, c cost) (release func(), err error) {
	l := g.limitsOf(mailbox)
	select {
	case l.slots <- struct{}{}:
		release = func() { <-l.slots; g.done(l) }
	case <-ctx.Done():
		g.done(l)
		return nil, &Error{Op: op, Class: ClassTemporary, Reason: ReasonCanceled, err: ctx.Err()}
	}
	if err := g.spend(l, op, c); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// limitsOf returns the mailbox's limits, and counts a user of them. The caller must call
// done.
func (g *gate) limitsOf(mailbox string) *mailboxLimits {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(time.Now())
	key := strings.ToLower(mailbox)
	l := g.mailboxes[key]
	if l == nil {
		l = &mailboxLimits{slots: make(chan struct{}, g.limit), requests: newSpending(g.budgets.Requests),
			upload: newSpending(g.budgets.Upload), sends: newSpending(g.budgets.Sends)}
		g.mailboxes[key] = l
	}
	l.users++
	return l
}

// check returns the error that acquire would return now, without waiting or spending.
func (g *gate) check(op, mailbox string, c cost) error {
	l := g.limitsOf(mailbox)
	defer g.done(l)
	g.mu.Lock()
	defer g.mu.Unlock()
	return l.check(time.Now(), op, c)
}

// spend takes the cost of one request from the budgets. If it returns an error, it took
// nothing.
func (g *gate) spend(l *mailboxLimits, op string, c cost) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if err := l.check(now, op, c); err != nil {
		return err
	}
	l.requests.spend(now, 1)
	l.upload.spend(now, c.upload)
	l.sends.spend(now, c.sends)
	return nil
}

// check returns a throttling error if Graph has asked for a pause or a budget is used up.
// The caller holds the gate's lock.
func (l *mailboxLimits) check(now time.Time, op string, c cost) error {
	if wait := l.pausedUntil.Sub(now); c.pausable && wait > 0 {
		return &Error{Op: op, Class: ClassTemporary, Reason: ReasonThrottled, RetryAfter: wait, Message: "Graph has asked for a pause of the mailbox"}
	}
	for _, b := range []struct {
		spending *spending
		n        int64
		what     string
	}{{&l.requests, 1, "requests"}, {&l.upload, c.upload, "uploaded bytes"}, {&l.sends, c.sends, "messages"}} {
		if wait := b.spending.wait(now, b.n); wait > 0 {
			return &Error{Op: op, Class: ClassTemporary, Reason: ReasonThrottled, RetryAfter: wait,
				Message: fmt.Sprintf("the mailbox has reached its limit of %d %s in %s", b.spending.budget.Amount, b.what, b.spending.budget.Per)}
		}
	}
	return nil
}

// applyRetryAfter pauses the mailbox for the error's Retry-After, so that requests that are
// waiting obey it too.
func (g *gate) applyRetryAfter(mailbox string, err error) {
	var e *Error
	if !errors.As(err, &e) || e.RetryAfter <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.mailboxes[strings.ToLower(mailbox)]; l != nil {
		l.pausedUntil = time.Now().Add(e.RetryAfter)
	}
}

// done ends a use of the limits that limitsOf counted.
func (g *gate) done(l *mailboxLimits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.users--
}

const sweepEvery = time.Minute

// sweep removes the mailboxes that have no requests, no pause and nothing spent. The caller
// holds g.mu.
func (g *gate) sweep(now time.Time) {
	if now.Sub(g.swept) < sweepEvery {
		return
	}
	g.swept = now
	for key, l := range g.mailboxes {
		if l.users == 0 && now.After(l.pausedUntil) && l.requests.idle(now) && l.upload.idle(now) && l.sends.idle(now) {
			delete(g.mailboxes, key)
		}
	}
}
