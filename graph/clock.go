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
	if date := dateOf(h); !date.IsZero() {
		ahead := time.Since(date)
		c.ahead.Store(&ahead)
	}
}

// dateOf returns the time in the header Date, zero if there is none.
func dateOf(h http.Header) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return date
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
