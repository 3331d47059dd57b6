package smtpd

import (
	"sync"
	"time"
)

// clock bounds the time that a client takes to negotiate TLS or to send a message. With a
// rate, the client may be behind that rate by slack at most, whether it pauses or sends
// slowly. (Postfix has smtpd_min_data_rate for this.)
type clock struct {
	mu    sync.Mutex // with BDAT, it is started outside of the connection's goroutine
	end   time.Time  // zero: the clock is stopped
	due   time.Time  // when the client is too far behind the rate; zero: there is no rate
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

// received extends the time for n bytes that were received.
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

// limit returns the earlier of idle and the time at which the clock runs out.
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
