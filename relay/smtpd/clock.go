package smtpd

import (
	"sync"
	"time"
)

// clock bounds the time that one thing takes a client: to bring TLS up, or to send a
// message. With a rate, a client may also never be further behind it than the slack,
// so that a pause is as good as a slow line, and neither lasts. (Postfix does so with
// smtpd_min_data_rate.)
type clock struct {
	mu    sync.Mutex // BDAT starts it beside the connection's goroutine
	end   time.Time  // zero: it is stopped
	due   time.Time  // when the client will be too far behind; zero: it need not hurry
	rate  int64      // bytes a second
	slack time.Duration
}

func (c *clock) start(total time.Duration, rate int64, slack time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.end, c.due, c.rate, c.slack = now.Add(total), time.Time{}, rate, slack
	if rate > 0 {
		c.due = now.Add(slack)
	}
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end, c.due = time.Time{}, time.Time{}
}

// received grants time for n bytes.
func (c *clock) received(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due.IsZero() {
		return
	}
	c.due = c.due.Add(time.Duration(n) * time.Second / time.Duration(c.rate))
	if most := time.Now().Add(c.slack); c.due.After(most) {
		c.due = most
	}
}

// limit is the earlier of idle and the time at which the clock runs out.
func (c *clock) limit(idle time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range []time.Time{c.end, c.due} {
		if !t.IsZero() && t.Before(idle) {
			idle = t
		}
	}
	return idle
}
