package graph

import (
	"strings"
	"time"
)

// Usage is how much of Graph's limits on a mailbox is in use.
type Usage struct {
	Requests    int // under way
	Concurrency int // that may be under way at a time
	Budgets     []BudgetUsage
	PausedUntil time.Time // by a Retry-After of Graph; zero: not paused
}

// BudgetUsage is what is spent of a budget.
type BudgetUsage struct {
	Budget
	Of   string // requests, uploaded bytes or messages
	Used int64
}

// Usage returns how much of Graph's limits on a mailbox this process uses now. Budgets without a
// limit are left out.
func (c *Client) Usage(mailbox string) Usage { return c.gate.usage(mailbox, time.Now()) }

func (g *gate) usage(mailbox string, now time.Time) Usage {
	u := Usage{Concurrency: g.limit}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.mailboxes[strings.ToLower(mailbox)]
	if l == nil {
		l = &mailboxLimits{requests: newSpending(g.budgets.Requests), upload: newSpending(g.budgets.Upload), sends: newSpending(g.budgets.Sends)}
	}
	u.Requests = len(l.slots)
	if l.pausedUntil.After(now) {
		u.PausedUntil = l.pausedUntil
	}
	for _, b := range []struct {
		spending *spending
		of       string
	}{{&l.requests, "requests"}, {&l.upload, "uploaded bytes"}, {&l.sends, "messages"}} {
		if b.spending.budget.Amount > 0 {
			u.Budgets = append(u.Budgets, BudgetUsage{b.spending.budget, b.of, b.spending.window.Sum(now)})
		}
	}
	return u
}
