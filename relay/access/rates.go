package access

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/internal/window"
	"graphrelay/relay/config"
	"graphrelay/relay/gossip"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// Rates counts the messages and recipients that were accepted from each user, address and
// sender. It counts in memory and outlives a reload; at a start, and where a limit is new,
// it begins with what the queue knows (see Policy.RestoreRates). What other nodes of the queue
// have accepted counts too, some seconds later (see package gossip).
type Rates struct {
	gossip.Counts[meterKey]
	mu      sync.Mutex
	counts  *bounded.Map[meterKey, *counts]
	limited map[string]bool // kinds of meter that have a limit
}

// meterKey names what is counted: one user, one address or one sender.
type meterKey struct{ Kind, Name string }

func (m meterKey) String() string { return "the " + m.Kind + " " + m.Name }

// counts is what was accepted on one meter.
type counts struct {
	messages, recipients window.Window[int32]
	used                 time.Time
}

// slots is how finely a minute and a day are divided.
const slots = 60

func newCounts() *counts {
	return &counts{messages: window.New[int32](time.Minute, slots), recipients: window.New[int32](24*time.Hour, slots)}
}

// meter is something counted that has a limit.
type meter struct {
	key   meterKey
	limit config.Rate
}

// maxCounts bounds the memory that counting takes to some 12 MB: a client can invent any
// number of senders.
const maxCounts = 20_000

// NewRates returns rates that have counted nothing.
func NewRates() *Rates {
	rank := func(c *counts) bounded.Rank { return bounded.Rank{Used: c.used} }
	return &Rates{counts: bounded.New[meterKey](maxCounts, rank), limited: map[string]bool{}}
}

// meterList collects meters.
type meterList []meter

// add adds a meter for name, unless that is empty, has no limit, or is there already.
func (l *meterList) add(kind, name string, limit config.Rate) {
	m := meter{meterKey{kind, name}, limit}
	if name != "" && limit != (config.Rate{}) && !slices.Contains(*l, m) {
		*l = append(*l, m)
	}
}

// hostName returns the name of the host that an address belongs to: the address or, with
// IPv6, its /64; "" for an address that is not valid.
func hostName(a netip.Addr) string {
	switch m := smtpd.HostPrefix(a); {
	case !m.IsValid():
		return ""
	case m.IsSingleIP():
		return m.Addr().String()
	default:
		return m.String()
	}
}

// check refuses messages and recipients that would exceed a limit. It counts nothing.
func (r *Rates) check(meters []meter, messages, recipients int) error {
	if len(meters) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allow(time.Now(), meters, messages, recipients)
}

// take counts a message on all meters, or on none if that would exceed the limit of one.
func (r *Rates) take(now time.Time, meters []meter, recipients int) error {
	if len(meters) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.allow(now, meters, 1, recipients); err != nil {
		return err
	}
	r.addLocked(now, meters, 1, recipients)
	r.tell(meters, 1, recipients)
	return nil
}

// tell has the other nodes count too.
func (r *Rates) tell(meters []meter, messages, recipients int) {
	for _, m := range meters {
		r.Counts.Add(m.key, int64(messages), int64(recipients))
	}
}

// undo takes back a message that take has counted then.
func (r *Rates) undo(then time.Time, meters []meter, recipients int) {
	r.add(then, meters, -1, -recipients)
	r.tell(meters, -1, -recipients)
}

// Learn implements gossip.Part. The limits are taken to be the same on every node.
func (r *Rates) Learn(data json.RawMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	return gossip.Each(data, func(k meterKey, messages, recipients int64) {
		if r.limited[k.Kind] {
			r.addLocked(now, []meter{{key: k}}, int(messages), int(recipients))
		}
	})
}

func (r *Rates) add(at time.Time, meters []meter, messages, recipients int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(at, meters, messages, recipients)
}

func (r *Rates) addLocked(at time.Time, meters []meter, messages, recipients int) {
	for _, m := range meters {
		c := r.counts.GetOrPut(m.key, newCounts)
		c.messages.Add(at, int32(messages))
		c.recipients.Add(at, int32(recipients))
		c.used = at
	}
}

// allow is called with the lock held.
func (r *Rates) allow(now time.Time, meters []meter, messages, recipients int) error {
	for _, m := range meters {
		c, ok := r.counts.Get(m.key)
		if !ok {
			c = newCounts()
		}
		if wait := c.messages.Wait(now, int32(messages), atMost(m.limit.Messages)); wait > 0 {
			return rateRefusal(now, wait, fmt.Sprintf("Too many messages from %s: %d a minute are taken", m.key, m.limit.Messages))
		}
		if wait := c.recipients.Wait(now, int32(recipients), atMost(m.limit.Recipients)); wait > 0 {
			return rateRefusal(now, wait, fmt.Sprintf("Too many recipients for %s: %d a day are taken", m.key, m.limit.Recipients))
		}
	}
	return nil
}

func atMost(limit int) int32 { return int32(min(limit, math.MaxInt32)) }

func rateRefusal(now time.Time, wait time.Duration, text string) error {
	when := fmt.Sprintf("in %d seconds", (wait+time.Second-1)/time.Second)
	if wait > 10*time.Minute {
		when = "after " + now.Add(wait+time.Minute).UTC().Format("2006-01-02 15:04 UTC")
	}
	return &smtpd.Refusal{Code: 450, Enhanced: [3]int{4, 7, 1}, Reason: reason.Rate, Text: text + "; try again " + when}
}

// limit sets which kinds of meter have a limit. It forgets the counts of the others, and
// returns the kinds that had no limit before.
func (r *Rates) limit(limits map[string]config.Rate) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := map[string]bool{}
	for kind, limit := range limits {
		has := limit != (config.Rate{})
		if has && !r.limited[kind] {
			fresh[kind] = true
		}
		r.limited[kind] = has
	}
	r.counts.DeleteFunc(func(k meterKey, _ *counts) bool { return !r.limited[k.Kind] })
	return fresh
}
