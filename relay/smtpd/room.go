package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// RoomLimits bound the connections of all listeners together. An address stands
// for its /64 with IPv6, which is what a single machine has.
type RoomLimits struct {
	Total      int // at a time
	PerAddress int // at a time, from one address
	PerNetwork int // at a time, from an IPv4 /24 or an IPv6 /48; PerAddress at least
	PerMinute  int // new ones from one address
}

// Room bounds the connections. Where a limit is reached, a newcomer takes the
// place of the connection that has done nothing for the longest time, so that
// clients which only hold connections keep nobody out.
type Room struct {
	limits RoomLimits

	mu       sync.Mutex
	open     map[*conn]seat
	callers  map[netip.Prefix]*caller // by address
	networks map[netip.Prefix]int     // open connections
}

// seat is whom an open connection counts for; zero while a proxy has not said it.
type seat struct{ address, network netip.Prefix }

type occupant struct {
	*conn
	seat
}

// caller is what is known of an address.
type caller struct {
	open   int
	tokens float64 // new connections that it may make at once
	at     time.Time
	known  time.Time // until when a user who signed in vouches for it
}

// NewRoom makes room for connections within the limits.
func NewRoom(l RoomLimits) *Room {
	l.PerNetwork = max(l.PerNetwork, l.PerAddress)
	return &Room{limits: l, open: map[*conn]seat{}, callers: map[netip.Prefix]*caller{}, networks: map[netip.Prefix]int{}}
}

// enter takes a place for c; one that has a place already tells its client. paced
// says that PerMinute applies. evicted made room, and is for the caller to close.
func (r *Room) enter(c *conn, client netip.Addr, paced bool) (ok bool, evicted occupant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := seat{Machine(client), Site(client)}
	if client.IsValid() && !r.caller(s.address).pace(r.limits.PerMinute) && paced {
		return false, occupant{}
	}
	_, again := r.open[c]
	if inTheWay := r.full(s, again); inTheWay != nil {
		if evicted = r.oldest(inTheWay); evicted.conn == nil {
			return false, occupant{}
		}
		r.remove(evicted.conn)
	}
	r.open[c] = s
	if client.IsValid() {
		r.caller(s.address).open++
		r.networks[s.network]++
	}
	return true, evicted
}

// full tells which connections are in the way of one more; nil if there is room.
func (r *Room) full(s seat, again bool) func(seat) bool {
	switch who := r.callers[s.address]; {
	case who != nil && who.open >= r.limits.PerAddress:
		return func(o seat) bool { return o.address == s.address }
	case r.networks[s.network] >= r.limits.PerNetwork:
		return func(o seat) bool { return o.network == s.network }
	case !again && len(r.open) >= r.limits.Total:
		return func(seat) bool { return true }
	}
	return nil
}

// maxLook bounds the search for a connection that makes room: maps begin anywhere.
const maxLook = 2000

// oldest is the connection that has waited for its client the longest, rather one
// outside of a mail transaction; none if all are in use.
func (r *Room) oldest(among func(seat) bool) (found occupant) {
	var longest time.Duration
	looked := 0
	for c, s := range r.open {
		if looked++; looked > maxLook {
			break
		}
		if !among(s) {
			continue
		}
		if over := c.idle.overdue(c.busy.Load()); over > longest {
			found, longest = occupant{c, s}, over
		}
	}
	return found
}

func (r *Room) leave(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(c)
}

func (r *Room) remove(c *conn) {
	s, in := r.open[c]
	if !in { // it made room before it ended
		return
	}
	delete(r.open, c)
	if !s.address.IsValid() {
		return
	}
	r.caller(s.address).open--
	if r.networks[s.network]--; r.networks[s.network] == 0 {
		delete(r.networks, s.network)
	}
}

// vouchTime is how long an address may make any number of connections after one of
// its users signed in: an office with many mail programs has one address.
const vouchTime = time.Hour

// vouch notes that a user signed in from the address.
func (r *Room) vouch(client netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caller(Machine(client)).known = time.Now().Add(vouchTime)
}

// caller finds or makes what is known of an address.
func (r *Room) caller(address netip.Prefix) *caller {
	who := r.callers[address]
	if who == nil {
		r.sweep()
		who = &caller{tokens: float64(r.limits.PerMinute), at: time.Now()}
		r.callers[address] = who
	}
	return who
}

// maxCallers bounds what is remembered of addresses without an open connection.
const maxCallers = 10_000

// sweep halves what is too much, so that it seldom has to: those go first of which
// there is nothing to know, then those that no user vouches for, then all without an
// open connection.
func (r *Room) sweep() {
	if len(r.callers) < maxCallers+len(r.open) {
		return
	}
	now := time.Now()
	for _, spared := range []func(*caller) bool{
		func(w *caller) bool { return now.Before(w.known) || now.Sub(w.at) <= time.Minute },
		func(w *caller) bool { return now.Before(w.known) },
		func(*caller) bool { return false },
	} {
		for address, w := range r.callers {
			if w.open == 0 && !spared(w) {
				delete(r.callers, address)
			}
		}
		if len(r.callers) <= maxCallers/2+len(r.open) {
			return
		}
	}
}

// pace counts a new connection; false if there were too many within a minute.
func (w *caller) pace(perMinute int) bool {
	now := time.Now()
	w.tokens = min(float64(perMinute), w.tokens+now.Sub(w.at).Minutes()*float64(perMinute))
	w.at = now
	if w.tokens < 1 {
		return now.Before(w.known)
	}
	w.tokens--
	return true
}

// Machine is the network that one machine's addresses are from: an IPv4 address, an
// IPv6 /64.
func Machine(a netip.Addr) netip.Prefix { return prefix(a, 32, 64) }

// Site is the network that one organisation's addresses are mostly from: an IPv4
// /24, an IPv6 /48.
func Site(a netip.Addr) netip.Prefix { return prefix(a, 24, 48) }

// prefix is the zero Prefix for an address that is not valid.
func prefix(a netip.Addr, v4, v6 int) netip.Prefix {
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, _ := a.Prefix(bits)
	return p
}
