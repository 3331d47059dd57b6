package graphmail

import (
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/relay/queue"
)

const (
	maxDenials = 10_000 // lanes for which denials are counted
	// denialGrace is how long after a denial an attempt may still begin before the queue
	// has recorded the pause.
	denialGrace = 10 * time.Second
)

// denials counts how often in a row access was denied in each lane. Exchange remembers that
// it denied access, for longer if it is asked again meanwhile, up to two hours ("Role Based
// Access Control for Applications in Exchange Online"): so the pauses grow. A restart
// forgets the counts.
type denials struct {
	mu    sync.Mutex
	lanes *bounded.Map[queue.Lane, denial]
}

type denial struct {
	n         int
	at, until time.Time // when the last one came, and the pause that followed
}

func newDenials() *denials {
	return &denials{lanes: bounded.New[queue.Lane](maxDenials, func(d denial) bounded.Rank { return bounded.Rank{Used: d.until} })}
}

// pause counts a denial to an attempt that began at start, and returns how long the lane
// pauses: asked is how long Graph wants, 0 if it does not say.
//
// An attempt that began during a pause shows that an operator has ended the pause, likely
// because the cause is gone: the count begins anew, as it does after a long silence.
func (d *denials) pause(l queue.Lane, start, now time.Time, asked time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, known := d.lanes.Get(l)
	switch {
	case known && !start.After(last.at.Add(denialGrace)): // it was made beside the one that was counted
	case known && !start.Before(last.until) && start.Sub(last.until) < maxDeniedPause:
		last.n++
	default:
		last.n = 1
	}
	length := asked
	if length == 0 {
		length = min(mailboxPause*time.Duration(last.n), maxDeniedPause)
	}
	last.at, last.until = now, now.Add(length)
	d.lanes.Put(l, last)
	return length
}
