package graph

import (
	"time"

	"graphrelay/internal/window"
)

// Budget limits an amount in any stretch of time of length Per. An Amount of 0 means no
// limit.
type Budget struct {
	Amount int64
	Per    time.Duration
}

// Budgets limit what a Client asks of one mailbox. Graph counts for each pair of
// application and mailbox (throttling-limits, Outlook).
type Budgets struct {
	Requests Budget
	Upload   Budget // bytes of POST, PATCH and PUT requests
	Sends    Budget
}

// steps is how many slots a budget's window is divided into.
const steps = 20

// spending counts what was spent of a budget. The gate's lock guards it.
type spending struct {
	budget Budget
	window window.Window[int64]
}

func newSpending(b Budget) spending {
	return spending{budget: b, window: window.New[int64](b.Per, steps)}
}

// wait returns how long it takes until n may be spent, 0 if it may be spent now. An n
// above the whole budget may be spent when nothing else is.
func (s *spending) wait(now time.Time, n int64) time.Duration {
	if s.budget.Amount <= 0 {
		return 0
	}
	wait := s.window.Wait(now, min(n, s.budget.Amount), s.budget.Amount)
	if wait > 0 {
		return max(wait, time.Millisecond)
	}
	return 0
}

// spend counts n, which wait has allowed.
func (s *spending) spend(now time.Time, n int64) {
	if s.budget.Amount > 0 {
		s.window.Add(now, n)
	}
}

// idle reports whether nothing that was spent counts any more.
func (s *spending) idle(now time.Time) bool { return s.window.Sum(now) == 0 }
