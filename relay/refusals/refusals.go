// Package refusals remembers for a while whom the listeners have refused, when and why, so
// that an operator sees at once which device cannot send and what it lacks.
//
// What it remembers is bounded, however many clients are refused and whatever they say: a
// listener, a network and a client have a share each, and no listener's refusals push out
// another's. Text from clients is cleaned and cut. It is in memory alone, and costs nothing
// where mail is accepted.
package refusals

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"graphrelay/internal/text"
	"graphrelay/internal/window"
	"graphrelay/relay/reason"
)

// Refusal is what a client was refused for, once or several times.
type Refusal struct {
	Client netip.Addr    `json:"client" doc:"The IP address of the client."`
	User   string        `json:"user,omitempty" doc:"The user that the client named. It need not exist."`
	Hello  string        `json:"hello,omitempty" doc:"What the client called itself."`
	From   string        `json:"from,omitempty" doc:"The sender of the envelope."`
	To     string        `json:"to,omitempty" doc:"The recipient that was refused."`
	Reason reason.Reason `json:"reason" doc:"Why it was refused."`
	Answer string        `json:"answer,omitempty" doc:"The last SMTP answer; empty if the connection was ended without one."`
	Text   string        `json:"text,omitempty" doc:"What happened, where that is not in the answer."`
	Remedy string        `json:"remedy" doc:"What an operator can do about it."`
	First  time.Time     `json:"first" doc:"When this happened first."`
	Last   time.Time     `json:"last" doc:"When this happened last."`
	Count  int64         `json:"count" doc:"How often this happened."`
}

// The bounds of what is remembered. A host is an IPv4 address or an IPv6 /64, a network an IPv4
// /24 or an IPv6 /48. With the longest texts, a listener takes 4 MB.
const (
	maxHosts        = 400 // of a listener
	maxNetworkHosts = 100 // of one network, once the listener has maxHosts
	maxKinds        = 8   // refusals of a host that differ in reason, user or addresses
	keep            = 7 * 24 * time.Hour
)

// The longest texts, in bytes. An address may have 254 (RFC 5321 section 4.5.3.1.3, errata 1690).
const (
	maxName   = 254
	maxAnswer = 400
)

// Log remembers refusals, by listener. A nil Log remembers nothing.
type Log struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

type listener struct {
	hosts map[netip.Prefix]*host
}

// host is what is known of one host. The oldest of its refusals makes way for a new one.
type host struct {
	network  netip.Prefix
	private  bool
	last     time.Time
	accepted time.Time // the last message that was taken after a refusal
	hour     window.Window[int32]
	refusals []Refusal
}

// Host is a client that was refused within the last hour.
type Host struct {
	Refusal            // the last one
	Hour     int       // refusals within the last hour, for whatever reason
	Accepted time.Time // the last message that was taken of it since it was first refused; zero: none
}

// New returns a Log that remembers nothing yet.
func New() *Log { return &Log{listeners: map[string]*listener{}} }

// Add remembers a refusal of a client by a listener. It sets First, Last, Count and Remedy.
func (l *Log) Add(listener string, r Refusal) {
	if l == nil || !r.Client.IsValid() {
		return
	}
	r = clean(r)
	r.First = time.Now()
	r.Last, r.Count = r.First, 1
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(listener).host(r.Client, r.First).add(r)
}

func clean(r Refusal) Refusal {
	for _, s := range []*string{&r.User, &r.Hello, &r.From, &r.To} {
		*s = text.Shorten(text.Printable(*s), maxName)
	}
	r.Answer = text.Shorten(text.Printable(r.Answer), maxAnswer)
	r.Text = text.Shorten(text.Printable(r.Text), maxAnswer)
	r.Remedy = Remedy(r.Reason)
	return r
}

func (l *Log) of(name string) *listener {
	of := l.listeners[name]
	if of == nil {
		of = &listener{hosts: map[netip.Prefix]*host{}}
		l.listeners[name] = of
	}
	return of
}

// host returns what is known of a client's host. A host that is new may take the place of another.
func (l *listener) host(client netip.Addr, now time.Time) *host {
	key := prefix(client, 32, 64)
	h := l.hosts[key]
	if h == nil {
		network := prefix(client, 24, 48)
		l.makeRoom(network, now)
		h = &host{network: network, hour: window.New[int32](time.Hour, 12), private: client.IsPrivate() || client.IsLoopback() || client.IsLinkLocalUnicast()}
		l.hosts[key] = h
	}
	h.last = now
	h.hour.Add(now, 1)
	return h
}

// makeRoom removes a host where the listener has as many as it may: the one refused longest ago of
// the same network, if that has its share already; else of those with public addresses; else of
// all. So those who try many addresses push out neither other networks nor the devices of the house.
func (l *listener) makeRoom(network netip.Prefix, now time.Time) {
	if len(l.hosts) < maxHosts {
		return
	}
	own := 0
	for key, h := range l.hosts {
		if now.Sub(h.last) > keep {
			delete(l.hosts, key)
		} else if h.network == network {
			own++
		}
	}
	if len(l.hosts) < maxHosts {
		return
	}
	var found netip.Prefix
	var oldest *host
	for key, h := range l.hosts {
		if own >= maxNetworkHosts && h.network != network {
			continue
		}
		if oldest == nil || h.before(oldest) {
			found, oldest = key, h
		}
	}
	delete(l.hosts, found)
}

// before reports whether a host makes way before another one.
func (h *host) before(other *host) bool {
	if h.private != other.private {
		return !h.private
	}
	return h.last.Before(other.last)
}

// add counts a refusal with those that are like it.
func (h *host) add(r Refusal) {
	like := func(o Refusal) bool {
		return o.Reason == r.Reason && o.User == r.User && o.From == r.From && o.To == r.To
	}
	i := slices.IndexFunc(h.refusals, like)
	switch {
	case i >= 0:
		r.First, r.Count = h.refusals[i].First, h.refusals[i].Count+1
		r.Hello = cmp.Or(r.Hello, h.refusals[i].Hello)
		h.refusals = slices.Delete(h.refusals, i, i+1)
	case len(h.refusals) >= maxKinds:
		h.refusals = slices.Delete(h.refusals, 0, 1)
	}
	h.refusals = append(h.refusals, r) // so that the first is the one that came longest ago
}

// Accepted says that a message of a client was taken.
func (l *Log) Accepted(listener string, client netip.Addr) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.listeners[listener]; of != nil && len(of.hosts) > 0 {
		if h := of.hosts[prefix(client, 32, 64)]; h != nil {
			h.accepted = time.Now()
		}
	}
}

// Hosts returns the clients that a listener has refused within the last hour, in no order.
func (l *Log) Hosts(listener string) (all []Host) {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.listeners[listener]
	if of == nil {
		return nil
	}
	now := time.Now()
	for _, h := range of.hosts {
		if n := int(h.hour.Sum(now)); n > 0 && len(h.refusals) > 0 {
			all = append(all, Host{h.refusals[len(h.refusals)-1], n, h.accepted})
		}
	}
	return all
}

// Recent returns the refusals of a listener of the last week, newest first, at most limit.
func (l *Log) Recent(listener string, limit int) []Refusal {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.listeners[listener]
	if of == nil {
		return nil
	}
	var all []Refusal
	now := time.Now()
	for _, h := range of.hosts {
		for _, r := range h.refusals {
			if now.Sub(r.Last) <= keep {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b Refusal) int { return b.Last.Compare(a.Last) })
	return all[:min(limit, len(all))]
}

// Forget removes what is known of a client at a listener, such as when it was allowed.
func (l *Log) Forget(listener string, client netip.Addr) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.listeners[listener]; of != nil {
		delete(of.hosts, prefix(client, 32, 64))
	}
}

// Retain forgets the listeners that are not named: a reload may have removed some.
func (l *Log) Retain(listeners []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.listeners {
		if !slices.Contains(listeners, name) {
			delete(l.listeners, name)
		}
	}
}

func prefix(a netip.Addr, v4, v6 int) netip.Prefix {
	bits := v6
	if a = a.Unmap(); a.Is4() {
		bits = v4
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}
