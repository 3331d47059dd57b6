package graph

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// maxSkew is how far a clock may be off before it is told of. Entra stands five minutes
// either way; answers take a while, and a Date has seconds only.
const maxSkew = 2 * time.Minute

// clock is how far this machine's is ahead of the token endpoint's, by the Date of its last
// answer (RFC 9110 section 6.6.1); nil if none was seen.
type clockSkew struct{ ahead atomic.Pointer[time.Duration] }

func (c *clockSkew) observe(h http.Header) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		ahead := time.Since(date)
		c.ahead.Store(&ahead)
	}
}

// ClockSkew is how far this machine's clock is ahead of the token endpoint's (negative:
// behind), as of its last answer; false if none has said the time.
func (c *Client) ClockSkew() (time.Duration, bool) {
	ahead := c.tokens.clock.ahead.Load()
	if ahead == nil {
		return 0, false
	}
	return *ahead, true
}

// skewError is why a sign-in may have been refused.
type skewError time.Duration

func (e skewError) Error() string {
	d, side := time.Duration(e), "ahead of"
	if d < 0 {
		side = "behind"
	}
	return fmt.Sprintf("this machine's clock is %.0f minutes %s Microsoft's: set it by NTP", d.Abs().Minutes(), side)
}
