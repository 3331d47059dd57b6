package graph

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// spent is what was asked of a mailbox lately, relative to a moment.
type spent struct {
	Paused   int64      `json:"paused,omitempty"`   // milliseconds until the end of a pause
	Requests [][2]int64 `json:"requests,omitempty"` // milliseconds ago, amount
	Upload   [][2]int64 `json:"upload,omitempty"`
	Sends    [][2]int64 `json:"sends,omitempty"`
}

// Spent returns what this client has asked of a mailbox lately, as far as it counts against
// Graph's limits, as a text for another process's Resume; "" if nothing counts.
func (c *Client) Spent(mailbox string) string { return c.gate.spent(mailbox, time.Now()) }

// Resume counts what another process had asked of a mailbox, as its Spent said some time ago. That
// includes what this client had asked before the other one resumed.
func (c *Client) Resume(mailbox, text string, ago time.Duration) error {
	var s spent
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("read what was asked of a mailbox: %w", err)
	}
	c.gate.resume(mailbox, s, time.Now().Add(-ago))
	return nil
}

func (g *gate) spent(mailbox string, now time.Time) string {
	s := g.spentOf(mailbox, now)
	if s.Paused == 0 && len(s.Requests) == 0 && len(s.Upload) == 0 && len(s.Sends) == 0 {
		return ""
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "" // numbers alone cannot fail
	}
	return string(text)
}

// resume counts s, which was true at a time.
func (g *gate) resume(mailbox string, s spent, at time.Time) {
	l := g.limitsOf(mailbox)
	defer g.done(l)
	g.mu.Lock()
	defer g.mu.Unlock()
	l.requests.resume(at, s.Requests)
	l.upload.resume(at, s.Upload)
	l.sends.resume(at, s.Sends)
	if until := at.Add(time.Duration(s.Paused) * time.Millisecond); until.After(l.pausedUntil) {
		l.pausedUntil = until
	}
}

func (g *gate) spentOf(mailbox string, now time.Time) spent {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.mailboxes[strings.ToLower(mailbox)]
	if l == nil {
		return spent{}
	}
	s := spent{Requests: l.requests.list(now), Upload: l.upload.list(now), Sends: l.sends.list(now)}
	s.Paused = max(l.pausedUntil.Sub(now).Milliseconds(), 0)
	return s
}

func (s *spending) list(now time.Time) (amounts [][2]int64) {
	s.window.Each(now, func(at time.Time, n int64) {
		amounts = append(amounts, [2]int64{now.Sub(at).Milliseconds(), n})
	})
	return amounts
}

// maxCarried bounds what is believed of another process's list.
const maxCarried = 10 * steps

// resume takes over what was spent, at a time. It has in it what was spent here before, unless
// there is more of that: then the other process was not told all of it.
func (s *spending) resume(at time.Time, amounts [][2]int64) {
	other := newSpending(s.budget)
	for _, a := range amounts[:min(len(amounts), maxCarried)] {
		if a[0] >= 0 && a[1] > 0 {
			other.spend(at.Add(-time.Duration(a[0])*time.Millisecond), a[1])
		}
	}
	if other.window.Sum(at) > s.window.Sum(at) {
		s.window = other.window
	}
}
