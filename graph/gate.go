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
	limit   int
	budgets Budgets
	mu      sync.Mutex
	open    map[string]*turnstile
	swept   time.Time
}

type turnstile struct {
	slots                   chan struct{}
	users                   int // in or waiting
	requests, upload, sends window
	closed                  time.Time // until then Graph wants to be left alone
}

// cost is what a request takes of the budgets.
type cost struct {
	upload int64
	sends  int64
	post   bool // it goes on with a message, rather than look or clean up
}

func newGate(limit int, b Budgets) *gate {
	return &gate{limit: max(limit, 1), budgets: b, open: map[string]*turnstile{}, swept: time.Now()}
}

// enter waits for a place; the caller must call leave. Where a budget is used up it
// does not wait but says how long it would take, as Graph would: whoever waits holds
// up others.
func (g *gate) enter(ctx context.Context, op, mailbox string, c cost) (leave func(), err error) {
	t := g.turnstile(mailbox)
	select {
	case t.slots <- struct{}{}:
		leave = func() { <-t.slots; g.leave(t) }
	case <-ctx.Done():
		g.leave(t)
		return nil, &Error{Op: op, Class: ClassPassing, Reason: ReasonCanceled, err: ctx.Err()}
	}
	if err := g.spend(t, op, c); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

func (g *gate) turnstile(mailbox string) *turnstile {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(time.Now())
	key := strings.ToLower(mailbox)
	t := g.open[key]
	if t == nil {
		t = &turnstile{slots: make(chan struct{}, g.limit), requests: window{budget: g.budgets.Requests},
			upload: window{budget: g.budgets.Upload}, sends: window{budget: g.budgets.Sends}}
		g.open[key] = t
	}
	t.users++
	return t
}

// look answers what enter would, of the budgets.
func (g *gate) look(op, mailbox string, c cost) error {
	t := g.turnstile(mailbox)
	defer g.leave(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.allows(t, op, c)
}

// spend takes the cost of one request off the budgets, all of it or nothing.
func (g *gate) spend(t *turnstile, op string, c cost) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.allows(t, op, c); err != nil {
		return err
	}
	t.requests.spend(1)
	t.upload.spend(c.upload)
	t.sends.spend(c.sends)
	return nil
}

// allows says whether the budgets have room. The caller holds g.mu.
func (g *gate) allows(t *turnstile, op string, c cost) error {
	now := time.Now()
	if wait := t.closed.Sub(now); c.post && wait > 0 {
		return &Error{Op: op, Class: ClassPassing, Reason: ReasonThrottled, RetryAfter: wait, Message: "Graph has asked to wait for the mailbox"}
	}
	for _, b := range []struct {
		window *window
		n      int64
		what   string
	}{{&t.requests, 1, "requests"}, {&t.upload, c.upload, "uploaded bytes"}, {&t.sends, c.sends, "messages"}} {
		if wait := b.window.wait(now, b.n); wait > 0 {
			return &Error{Op: op, Class: ClassPassing, Reason: ReasonThrottled, RetryAfter: wait,
				Message: fmt.Sprintf("the mailbox has had its %d %s in %s", b.window.budget.Amount, b.what, b.window.budget.Per)}
		}
	}
	return nil
}

// heed closes the mailbox for as long as Graph asks for: requests that wait for their
// turn would not know of it.
func (g *gate) heed(mailbox string, err error) {
	var e *Error
	if !errors.As(err, &e) || e.RetryAfter <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.open[strings.ToLower(mailbox)]; t != nil {
		t.closed = time.Now().Add(e.RetryAfter)
	}
}

func (g *gate) leave(t *turnstile) {
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
	for key, t := range g.open {
		if t.users == 0 && now.After(t.closed) && t.requests.idle(now) && t.upload.idle(now) && t.sends.idle(now) {
			delete(g.open, key)
		}
	}
}
