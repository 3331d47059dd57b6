package graph

import (
	"context"
	"strings"
	"sync"
)

// gate lets so many requests at a time through to each mailbox. Graph counts
// them for each pair of application and mailbox (throttling-limits, Outlook).
type gate struct {
	limit int
	mu    sync.Mutex
	open  map[string]*turnstile
}

type turnstile struct {
	slots chan struct{}
	users int // in or waiting; the last one removes the turnstile
}

func newGate(limit int) *gate {
	return &gate{limit: max(limit, 1), open: map[string]*turnstile{}}
}

// enter waits for a place; the caller must call leave.
func (g *gate) enter(ctx context.Context, mailbox string) (leave func(), err error) {
	key := strings.ToLower(mailbox)
	g.mu.Lock()
	t := g.open[key]
	if t == nil {
		t = &turnstile{slots: make(chan struct{}, g.limit)}
		g.open[key] = t
	}
	t.users++
	g.mu.Unlock()
	select {
	case t.slots <- struct{}{}:
		return func() { <-t.slots; g.forget(key, t) }, nil
	case <-ctx.Done():
		g.forget(key, t)
		return nil, ctx.Err()
	}
}

func (g *gate) forget(key string, t *turnstile) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(g.open, key)
	}
}
