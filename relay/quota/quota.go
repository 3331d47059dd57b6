// Package quota counts the recipients to whom mail was sent, against the limits that Exchange
// Online has for a mailbox and for a tenant in 24 hours. It warns ahead of a limit and refuses
// nothing: Exchange alone knows what else was sent.
package quota

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/bounded"
	"graphrelay/internal/window"
	"graphrelay/relay/gossip"
	"graphrelay/relay/queue"
)

// Limits are those of a connection; a zero field is no limit.
type Limits struct {
	Recipients int64 // of one mailbox
	External   int64 // recipients outside of the tenant, of all mailboxes together
	// IsExternal reports whether a recipient is outside.
	IsExternal func(address string) bool
}

// Counter counts. It outlives a reload. What other nodes of the queue have sent counts too,
// some seconds later (see package gossip).
type Counter struct {
	gossip.Counts[mailbox]
	mu        sync.Mutex
	limits    map[string]Limits // by connection
	log       *slog.Logger
	mailboxes *bounded.Map[mailbox, *count]
	external  map[string]*count // by connection
	near      *prometheus.Desc
	sends     queue.Sends
}

type mailbox struct{ Connection, Address string }

// count is a sum over 24 hours.
type count struct {
	sum    window.Window[int64]
	warned bool
	used   time.Time
}

const (
	day = 24 * time.Hour
	// slots is how finely the day is divided: what was sent counts for up to half an hour
	// too long.
	slots = 48
	// maxMailboxes bounds the memory to some 10 MB.
	maxMailboxes = 20_000
)

// nearLimit reports whether a count is at 80 % of a limit or above.
func nearLimit(n, limit int64) bool { return limit > 0 && n >= limit-limit/5 }

// New returns a Counter of what leaves q, which has counted nothing.
func New(q queue.Sends) *Counter {
	return &Counter{sends: q,
		log: slog.New(slog.DiscardHandler), external: map[string]*count{},
		mailboxes: bounded.New[mailbox](maxMailboxes, func(c *count) bounded.Rank { return bounded.Rank{Used: c.used} }),
		near: prometheus.NewDesc("graphrelay_mailboxes_near_limit",
			"Mailboxes that have sent to 80 % of their recipients of a day or more; for external_recipients 1 if the connection has.",
			[]string{"connection", "limit"}, nil),
	}
}

// SetLimits sets the limits by connection.
func (c *Counter) SetLimits(limits map[string]Limits, log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits, c.log = limits, log
}

// Restore counts what was sent before the process started, as far as the queue has records of
// it. wait is how long a message may have waited before it was sent.
func (c *Counter) Restore(ctx context.Context, wait time.Duration) error {
	since := c.sends.Now().Add(-day)
	return c.sends.Sends(ctx, since.Add(-wait), since, func(s queue.Send) {
		c.mu.Lock()
		defer c.mu.Unlock()
		m, outside := c.sort(s.Lane, s.To)
		c.add(m, s.Lane, s.At, int64(len(s.To)), outside)
	})
}

// Sent counts the recipients of a message that was just sent, and warns if a limit is near.
func (c *Counter) Sent(l queue.Lane, to []string) {
	c.mu.Lock()
	m, outside := c.sort(l, to)
	warnings := c.add(m, l, c.sends.Now(), int64(len(to)), outside)
	log := c.log
	c.mu.Unlock()
	c.Counts.Add(m, int64(len(to)), outside)
	for _, warn := range warnings {
		warn(log)
	}
}

// Learn implements gossip.Part.
func (c *Counter) Learn(data json.RawMessage) error {
	c.mu.Lock()
	now, log := c.sends.Now(), c.log
	var warnings []func(*slog.Logger)
	err := gossip.Each(data, func(m mailbox, recipients, outside int64) {
		warnings = append(warnings, c.add(m, queue.Lane{Connection: m.Connection, Mailbox: m.Address}, now, recipients, outside)...)
	})
	c.mu.Unlock()
	for _, warn := range warnings {
		warn(log)
	}
	return err
}

// sort returns the mailbox of a lane, and how many recipients are outside of its tenant.
func (c *Counter) sort(l queue.Lane, to []string) (m mailbox, outside int64) {
	if is := c.limits[l.Connection].IsExternal; is != nil {
		for _, address := range to {
			if is(address) {
				outside++
			}
		}
	}
	return mailbox{l.Connection, strings.ToLower(l.Mailbox)}, outside
}

// add counts recipients of a lane of the mailbox, of whom some are outside. It returns the
// warnings to log.
func (c *Counter) add(m mailbox, l queue.Lane, at time.Time, recipients, outside int64) (warnings []func(*slog.Logger)) {
	limits := c.limits[m.Connection]
	if n, near := c.mailboxes.GetOrPut(m, newCount).add(at, recipients, limits.Recipients); near {
		warnings = append(warnings, func(log *slog.Logger) {
			log.Warn("a mailbox has sent to many recipients in 24 hours; Exchange sends no more mail of it at the limit",
				"lane", l.String(), "recipients", n, "limit", limits.Recipients)
		})
	}
	if limits.IsExternal == nil {
		return warnings
	}
	if c.external[m.Connection] == nil {
		c.external[m.Connection] = newCount()
	}
	if n, near := c.external[m.Connection].add(at, outside, limits.External); near {
		warnings = append(warnings, func(log *slog.Logger) {
			log.Warn("a connection has sent to many external recipients in 24 hours; Exchange sends no more mail of the tenant to them at the limit",
				"connection", m.Connection, "recipients", n, "limit", limits.External)
		})
	}
	return warnings
}

// Usage is what was sent in 24 hours of a mailbox.
type Usage struct {
	Connection, Mailbox string
	Recipients, Limit   int64 // no limit: 0
}

// Usage returns the mailboxes that have sent to anyone in 24 hours, in no order.
func (c *Counter) Usage() (all []Usage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.sends.Now()
	for m, x := range c.mailboxes.All() {
		if n := x.sum.Sum(now); n > 0 {
			all = append(all, Usage{m.Connection, m.Address, n, c.limits[m.Connection].Recipients})
		}
	}
	return all
}

func newCount() *count { return &count{sum: window.New[int64](day, slots)} }

// add adds to the count and returns the sum. near is true once, when the sum comes near the
// limit, and again only after it was lower.
func (c *count) add(at time.Time, n, limit int64) (sum int64, near bool) {
	c.sum.Add(at, n)
	c.used = at
	sum = c.sum.Sum(at)
	is := nearLimit(sum, limit)
	near = is && !c.warned
	c.warned = is
	return sum, near
}

// Describe implements prometheus.Collector.
func (c *Counter) Describe(ch chan<- *prometheus.Desc) { ch <- c.near }

// Collect implements prometheus.Collector.
func (c *Counter) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.sends.Now()
	near := map[string]float64{}
	for m, x := range c.mailboxes.All() {
		if nearLimit(x.sum.Sum(now), c.limits[m.Connection].Recipients) {
			near[m.Connection]++
		}
	}
	for connection, limits := range c.limits {
		external := 0.0
		if x := c.external[connection]; x != nil && nearLimit(x.sum.Sum(now), limits.External) {
			external = 1
		}
		ch <- prometheus.MustNewConstMetric(c.near, prometheus.GaugeValue, near[connection], connection, "recipients")
		ch <- prometheus.MustNewConstMetric(c.near, prometheus.GaugeValue, external, connection, "external_recipients")
	}
}
