package graph

import "time"

// Budget is so much in any stretch of time so long; a zero Amount bounds nothing.
type Budget struct {
	Amount int64
	Per    time.Duration
}

// Budgets bound what is asked of one mailbox. Graph counts for each pair of
// application and mailbox (throttling-limits, Outlook).
type Budgets struct {
	Requests Budget
	Upload   Budget // bytes of POST, PATCH and PUT requests
	Sends    Budget
}

// steps divide a window: an amount counts until the whole step in which it was spent
// is out of the window, so that never more is spent in any stretch than the budget.
const steps = 20

// window counts what was spent of a budget. The gate's lock guards it.
type window struct {
	budget Budget
	spent  [steps + 1]int64 // by step, a ring
	sum    int64
	step   int64 // number of the newest step
}

func (w *window) length() time.Duration { return w.budget.Per / steps }

// turn forgets what has left the window by now.
func (w *window) turn(now time.Time) {
	current := now.UnixNano() / int64(max(w.length(), 1))
	for range min(current-w.step, int64(len(w.spent))) {
		w.step++
		slot := &w.spent[w.step%int64(len(w.spent))]
		w.sum -= *slot
		*slot = 0
	}
	w.step = current
}

// wait is how long it takes until n may be spent, 0 if it may be now. More than the
// whole budget may be spent when nothing else is.
func (w *window) wait(now time.Time, n int64) time.Duration {
	if w.budget.Amount <= 0 || n == 0 {
		return 0
	}
	w.turn(now)
	sum := w.sum
	if sum+n <= w.budget.Amount || sum == 0 {
		return 0
	}
	size := int64(len(w.spent))
	for oldest := w.step - steps; oldest <= w.step; oldest++ {
		if oldest >= 0 {
			sum -= w.spent[oldest%size]
		}
		if sum+n <= w.budget.Amount || sum == 0 {
			leaves := time.Unix(0, (oldest+steps+1)*int64(w.length()))
			return max(leaves.Sub(now), time.Millisecond)
		}
	}
	return w.budget.Per
}

// spend adds n, which wait has let through.
func (w *window) spend(n int64) {
	if w.budget.Amount > 0 {
		w.spent[w.step%int64(len(w.spent))] += n
		w.sum += n
	}
}

// idle tells that nothing in the window counts any more.
func (w *window) idle(now time.Time) bool {
	w.turn(now)
	return w.sum == 0
}
