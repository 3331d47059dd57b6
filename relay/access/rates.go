//go:build ignore

package relay

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// rates counts the messages and recipients that were taken, over reloads. It counts in
// memory; at a start, and where a limit is new, it begins with what the queue knows.
type rates struct {
	mu     sync.Mutex
	counts map[meterKey]*counts
	kept   map[string]bool // kinds of meter that are counted
}

// meterKey names what is counted: one user, one address or one sender.
type meterKey struct{ kind, name string }

func (m meterKey) String() string { return "the " + m.kind + " " + m.name }

// counts is what one of them has brought.
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

// maxCounts bounds the memory that counting takes, to some 12 MB: senders are as many
// as a client cares to make up.
const maxCounts = 20_000

func newRates() *rates { return &rates{counts: map[meterKey]*counts{}, kept: map[string]bool{}} }

// meters lists on whom a client's message counts, as far as they have limits.
func (p *policy) meters(who smtpd.Identity, senders ...string) []meter {
	var list []meter
	add := func(kind, name string, limit config.Rate) {
		m := meter{meterKey{kind, name}, limit}
		if name != "" && limit != (config.Rate{}) && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	add("user", who.User, p.cfg.Rates.User)
	add("address", machine(who.Client), p.cfg.Rates.Address)
	for _, s := range senders {
		add("sender", strings.ToLower(s), p.cfg.Rates.Sender)
	}
	return list
}

// machine names whom an address stands for.
func machine(a netip.Addr) string {
	switch m := smtpd.HostPrefix(a); {
	case !m.IsValid():
		return ""
	case m.IsSingleIP():
		return m.Addr().String()
	default:
		return m.String()
	}
}

// receiptMeters lists on whom a message counts: as senders on the envelope's and on
// the address that the header From had before a rule replaced it.
func (p *policy) receiptMeters(r queue.Receipt) []meter {
	author := r.From
	client, _ := netip.ParseAddr(r.Client)
	who := smtpd.Identity{User: r.User, Client: client}
	if rule := p.rule(who, r.Sender, r.Sender); rule != nil && strings.EqualFold(rule.Shown(r.Sender), author) {
		author = "" // the rule's
	}
	if r.ReplyTo != "" {
		author = r.ReplyTo
	}
	return p.meters(who, r.Sender, author)
}

// Admit implements smtpd.Policy.
func (p *policy) Admit(e *queue.Entry) (undo func(), err error) {
	now, recipients := time.Now(), len(e.Envelope.To)
	meters := p.receiptMeters(queue.Receipt{Sender: e.Envelope.From, From: e.From, ReplyTo: e.ReplyTo, User: e.User, Client: e.Client})
	if err := p.rates.take(now, meters, recipients); err != nil {
		return nil, err
	}
	return func() { p.rates.add(now, meters, -1, -recipients) }, nil
}

// check refuses what would be too much, and counts nothing.
func (r *rates) check(meters []meter, messages, recipients int) error {
	if len(meters) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room(time.Now(), meters, messages, recipients)
}

// take counts a message on all meters, or on none if one has no room.
func (r *rates) take(now time.Time, meters []meter, recipients int) error {
	if len(meters) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.room(now, meters, 1, recipients); err != nil {
		return err
	}
	r.addLocked(now, meters, 1, recipients)
	return nil
}

func (r *rates) add(at time.Time, meters []meter, messages, recipients int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(at, meters, messages, recipients)
}

func (r *rates) addLocked(at time.Time, meters []meter, messages, recipients int) {
	for _, m := range meters {
		c := r.counts[m.key]
		if c == nil {
			r.makeRoom()
			c = newCounts()
			r.counts[m.key] = c
		}
		c.messages.add(at, messages)
		c.recipients.add(at, recipients)
		c.used = at
	}
}

// makeRoom forgets somebody: of a few at random, who brought something longest ago.
func (r *rates) makeRoom() {
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

func (r *rates) room(now time.Time, meters []meter, messages, recipients int) error {
	for _, m := range meters {
		c := r.counts[m.key]
		if c == nil {
			c = newCounts()
		}
		if wait := c.messages.wait(now, messages, m.limit.Messages); wait > 0 {
			return tooMuch(now, wait, fmt.Sprintf("Too many messages from %s: %d a minute are taken", m.key, m.limit.Messages))
		}
		if wait := c.recipients.wait(now, recipients, m.limit.Recipients); wait > 0 {
			return tooMuch(now, wait, fmt.Sprintf("Too many recipients for %s: %d a day are taken", m.key, m.limit.Recipients))
		}
	}
	return nil
}

func tooMuch(now time.Time, wait time.Duration, text string) error {
	when := fmt.Sprintf("in %d seconds", (wait+time.Second-1)/time.Second)
	if wait > 10*time.Minute {
		when = "after " + now.Add(wait+time.Minute).UTC().Format("2006-01-02 15:04 UTC")
	}
	return &smtpd.Refusal{Code: 450, Enhanced: [3]int{4, 7, 1}, Reason: smtpd.ReasonRate, Text: text + "; try again " + when}
}

// keep counts what p limits, and what it has not counted so far as the queue tells it.
func (r *rates) keep(ctx context.Context, p *policy, q queue.Inspector) error {
	limits := map[string]config.Rate{"user": p.cfg.Rates.User, "address": p.cfg.Rates.Address, "sender": p.cfg.Rates.Sender}
	fresh := r.begin(limits)
	if len(fresh) == 0 {
		return nil
	}
	return q.Receipts(ctx, time.Now().Add(-24*time.Hour), func(was queue.Receipt) {
		if was.Client == "" { // the relay's own
			return
		}
		meters := slices.DeleteFunc(p.receiptMeters(was), func(m meter) bool { return !fresh[m.key.kind] })
		r.add(was.Received, meters, 1, was.Recipients)
	})
}

// begin forgets what has no limit any more, and returns the kinds of meter that have
// one which had none before.
func (r *rates) begin(limits map[string]config.Rate) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := map[string]bool{}
	for kind, limit := range limits {
		limited := limit != (config.Rate{})
		if limited && !r.kept[kind] {
			fresh[kind] = true
		}
		r.kept[kind] = limited
	}
	maps.DeleteFunc(r.counts, func(k meterKey, _ *counts) bool { return !r.kept[k.kind] })
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
