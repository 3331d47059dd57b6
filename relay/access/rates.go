package access

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// Rates counts the messages and recipients that were accepted from each user, address and
// sender. It counts in memory and outlives a reload; at a start, and where a limit is new,
// it begins with what the queue knows (see Policy.RestoreRates).
type Rates struct {
	mu      sync.Mutex
	counts  map[meterKey]*counts
	limited map[string]bool // kinds of meter that have a limit
}

// meterKey names what is counted: one user, one address or one sender.
type meterKey struct{ kind, name string }

func (m meterKey) String() string { return "the " + m.kind + " " + m.name }

// counts is what was accepted on one meter.
type counts struct {
	messages, recipients window
	used                 time.Time
}

func newCounts() *counts {
	return &counts{messages: window{slot: time.Minute / slots}, recipients: window{slot: 24 * time.Hour / slots}}
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
func NewRates() *Rates { return &Rates{counts: map[meterKey]*counts{}, limited: map[string]bool{}} }

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
	return nil
}

func (r *Rates) add(at time.Time, meters []meter, messages, recipients int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(at, meters, messages, recipients)
}

func (r *Rates) addLocked(at time.Time, meters []meter, messages, recipients int) {
	for _, m := range meters {
		c := r.counts[m.key]
		if c == nil {
			r.evict()
			c = newCounts()
			r.counts[m.key] = c
		}
		c.messages.add(at, messages)
		c.recipients.add(at, recipients)
		c.used = at
	}
}

// evict removes the least recently used of a few randomly chosen entries, if there are too
// many.
func (r *Rates) evict() {
	if len(r.counts) < maxCounts {
		return
	}
	const few = 8
	var oldest meterKey
	seen := 0
	for of, c := range r.counts {
		if seen == 0 || c.used.Before(r.counts[oldest].used) {
			oldest = of
		}
		if seen++; seen == few {
			break
		}
	}
	delete(r.counts, oldest)
}

// allow is called with the lock held.
func (r *Rates) allow(now time.Time, meters []meter, messages, recipients int) error {
	for _, m := range meters {
		c := r.counts[m.key]
		if c == nil {
			c = newCounts()
		}
		if wait := c.messages.wait(now, messages, m.limit.Messages); wait > 0 {
			return rateRefusal(now, wait, fmt.Sprintf("Too many messages from %s: %d a minute are taken", m.key, m.limit.Messages))
		}
		if wait := c.recipients.wait(now, recipients, m.limit.Recipients); wait > 0 {
			return rateRefusal(now, wait, fmt.Sprintf("Too many recipients for %s: %d a day are taken", m.key, m.limit.Recipients))
		}
	}
	return nil
}

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
	maps.DeleteFunc(r.counts, func(k meterKey, _ *counts) bool { return !r.limited[k.kind] })
	return fresh
}

// slots is how finely a window is divided.
const slots = 60

// window counts over the last so many slots and the one under way, so that what lies
// within their time is never forgotten, and what is older for a slot at most not yet.
type window struct {
	slot   time.Duration
	counts [slots + 1]int32
	last   int64 // the slot under way
	sum    int
}

// add counts n at a time, if that is still within the window.
func (w *window) add(at time.Time, n int) {
	i := w.at(at)
	w.move(i)
	if i > w.last-int64(len(w.counts)) {
		w.counts[i%int64(len(w.counts))] += int32(n)
		w.sum += n
	}
}

// wait is how long it takes until n more are within the limit.
func (w *window) wait(now time.Time, n, limit int) time.Duration {
	w.move(w.at(now))
	if limit == 0 || n == 0 || w.sum+n <= limit {
		return 0
	}
	sum := w.sum
	for i := w.last - slots; i <= w.last; i++ {
		count := int(w.counts[i%int64(len(w.counts))])
		if sum -= count; count > 0 && sum+n <= limit {
			return time.Unix(0, (i+slots+1)*int64(w.slot)).Sub(now)
		}
	}
	return w.slot * slots
}

func (w *window) at(t time.Time) int64 { return t.UnixNano() / int64(w.slot) }

// move makes i the slot under way. A clock that goes back moves nothing.
func (w *window) move(i int64) {
	for ; w.last < i; w.last++ {
		if i-w.last > int64(len(w.counts)) {
			w.last = i - int64(len(w.counts))
		}
		next := &w.counts[(w.last+1)%int64(len(w.counts))]
		w.sum -= int(*next)
		*next = 0
	}
}
