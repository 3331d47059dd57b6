package graph

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// maxSkew is how far this machine's clock may be off before an error mentions it. Entra
// tolerates five minutes either way; an answer takes a while, and Date has whole seconds.
const maxSkew = 2 * time.Minute

// clockSkew is how far this machine's clock is ahead of the token endpoint's, by the Date
// of the last answer (RFC 9110 section 6.6.1); nil before the first one.
type clockSkew struct{ ahead atomic.Pointer[time.Duration] }

func (c *clockSkew) observe(h http.Header) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		ahead := time.Since(date)
		c.ahead.Store(&ahead)
	}
}

// ClockSkew returns how far this machine's clock is ahead of the token endpoint's
// (negative: behind), as of the last answer. It is false if no answer had a date yet.
func (c *Client) ClockSkew() (time.Duration, bool) {
	ahead := c.tokens.clock.ahead.Load()
	if ahead == nil {
		return 0, false
	}
	return *ahead, true
}

// ServiceTime returns what the service's clock showed at the time t of this machine's clock,
// as far as the difference is known.
func (m Mailbox) ServiceTime(t time.Time) time.Time {
	ahead, _ := m.client.ClockSkew()
	return t.Add(-ahead)
}

// skewError says that a sign-in may have been refused because this machine's clock is
// wrong.
type skewError time.Duration

// Error implements error.
func (e skewError) Error() string {
	d, side := time.Duration(e), "ahead of"
	if d < 0 {
		side = "behind"
	}
	return fmt.Sprintf("this machine's clock is %.0f minutes %s Microsoft's: set it by NTP", d.Abs().Minutes(), side)
}
