package smtpd

import (
	"net/netip"
	"sync"
	"time"

	"graphrelay/internal/bounded"
)

// ConnectionLimits bound the connections of all listeners together. An IPv6 address
// counts as its /64, which is what a single host is given.
type ConnectionLimits struct {
	Total      int // at a time
	PerAddress int // at a time, from one address
	PerNetwork int // at a time, from one IPv4 /24 or IPv6 /48; at least PerAddress
	PerMinute  int // new connections a minute from one address
}

// ConnectionLimiter counts open connections. When a limit is reached, a new connection
// replaces the one that has been idle for the longest time, so that clients which only
// hold connections open do not keep others out.
type ConnectionLimiter struct {
	memory *sharedMemory
	limits ConnectionLimits

	mu        sync.Mutex
	open      map[*conn]clientKey
	addresses *bounded.Map[netip.Prefix, *addressState] // by HostPrefix
	networks  map[netip.Prefix]int                      // open connections, by NetworkPrefix
}

// clientKey names the counters of an open connection. It is zero until the PROXY header
// of a load balancer has been read.
type clientKey struct{ address, network netip.Prefix }

type openConn struct {
	*conn
	clientKey
}

// addressState is the state of one HostPrefix.
type addressState struct {
	open    int
	tokens  float64   // token bucket: new connections that it may make at once
	at      time.Time // when tokens was computed
	trusted time.Time // until when PerMinute does not apply, since a user signed in
}

// NewConnectionLimiter returns a limiter without connections.
func NewConnectionLimiter(limits ConnectionLimits) *ConnectionLimiter {
	l := &ConnectionLimiter{memory: newSharedMemory(maxSessionMemory, maxClientMemory), open: map[*conn]clientKey{}, addresses: bounded.New[netip.Prefix](maxAddresses, (*addressState).rank), networks: map[netip.Prefix]int{}}
	l.SetLimits(limits)
	return l
}

// SetLimits replaces the limits. What is open stays, and counts.
func (l *ConnectionLimiter) SetLimits(limits ConnectionLimits) {
	limits.PerNetwork = max(limits.PerNetwork, limits.PerAddress)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits
}

// acquire counts c as an open connection of client, and reports whether the limits
// allow it. A connection from a load balancer is acquired first without a client, and
// again when its PROXY header has been read. PerMinute applies if rateLimited is set. The
// caller must close evicted, the connection that c replaced, if there is one.
func (l *ConnectionLimiter) acquire(c *conn, client netip.Addr, rateLimited bool) (ok bool, evicted openConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := clientKey{HostPrefix(client), NetworkPrefix(client)}
	if client.IsValid() && !l.state(key.address).allow(l.limits.PerMinute) && rateLimited {
		return false, openConn{}
	}
	_, again := l.open[c]
	if candidate := l.full(key, again); candidate != nil {
		if evicted = l.oldest(candidate); evicted.conn == nil {
			return false, openConn{}
		}
		l.remove(evicted.conn)
	}
	l.open[c] = key
	if client.IsValid() {
		l.state(key.address).open++
		l.networks[key.network]++
	}
	return true, evicted
}

// full returns a filter for the connections of which one must be evicted to admit a new
// one, or nil if no limit is reached. again means that c itself is openConn already.
func (l *ConnectionLimiter) full(key clientKey, again bool) func(clientKey) bool {
	switch a, ok := l.addresses.Get(key.address); {
	case ok && a.open >= l.limits.PerAddress:
		return func(o clientKey) bool { return o.address == key.address }
	case l.networks[key.network] >= l.limits.PerNetwork:
		return func(o clientKey) bool { return o.network == key.network }
	case !again && len(l.open) >= l.limits.Total:
		return func(clientKey) bool { return true }
	}
	return nil
}

// maxScanned bounds the search for a connection to evict. Map iteration starts at random.
const maxScanned = 2000

// oldest returns the connection that is idle beyond its grace period for the longest
// time, or none. The grace period is longer within a mail transaction.
func (l *ConnectionLimiter) oldest(among func(clientKey) bool) (found openConn) {
	var longest time.Duration
	scanned := 0
	for c, key := range l.open {
		if scanned++; scanned > maxScanned {
			break
		}
		if !among(key) {
			continue
		}
		if over := c.idle.excess(c.inTransaction.Load()); over > longest {
			found, longest = openConn{c, key}, over
		}
	}
	return found
}

// release counts c as closed. It may be called more than once.
func (l *ConnectionLimiter) release(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c)
}

func (l *ConnectionLimiter) remove(c *conn) {
	key, in := l.open[c]
	if !in { // it was evicted before it ended
		return
	}
	delete(l.open, c)
	if !key.address.IsValid() {
		return
	}
	l.state(key.address).open--
	if l.networks[key.network]--; l.networks[key.network] == 0 {
		delete(l.networks, key.network)
	}
}

// trustTime is how long PerMinute does not apply to an address after one of its users
// signed in: many mail programs of one office share an address.
const trustTime = time.Hour

// trust records that a user signed in from the address.
func (l *ConnectionLimiter) trust(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state(HostPrefix(client)).trusted = time.Now().Add(trustTime)
}

// state returns the state of an address, and creates it if there is none.
func (l *ConnectionLimiter) state(address netip.Prefix) *addressState {
	return l.addresses.GetOrPut(address, func() *addressState {
		return &addressState{tokens: float64(l.limits.PerMinute), at: time.Now()}
	})
}

// maxAddresses is the maximum number of addresses whose state is kept, unless more have
// open connections.
const maxAddresses = 10_000

// rank keeps trusted addresses longer than others, and drops those whose state is as new.
func (a *addressState) rank() bounded.Rank {
	now := time.Now()
	switch {
	case a.open > 0:
		return bounded.Rank{Class: bounded.Pinned}
	case now.Before(a.trusted):
		return bounded.Rank{Class: 1, Used: a.at}
	case now.Sub(a.at) > time.Minute: // the token bucket is full
		return bounded.Rank{Class: bounded.Expired}
	}
	return bounded.Rank{Used: a.at}
}

// allow counts a new connection, and reports whether the rate allows it.
func (a *addressState) allow(perMinute int) bool {
	now := time.Now()
	a.tokens = min(float64(perMinute), a.tokens+now.Sub(a.at).Minutes()*float64(perMinute))
	a.at = now
	if a.tokens < 1 {
		return now.Before(a.trusted)
	}
	a.tokens--
	return true
}

// HostPrefix returns the prefix that stands for one host: an IPv4 /32 or an IPv6 /64.
func HostPrefix(a netip.Addr) netip.Prefix { return prefix(a, 32, 64) }

// NetworkPrefix returns the prefix that mostly belongs to one organisation: an IPv4 /24
// or an IPv6 /48.
func NetworkPrefix(a netip.Addr) netip.Prefix { return prefix(a, 24, 48) }

// prefix returns the zero Prefix for an invalid address.
func prefix(a netip.Addr, v4, v6 int) netip.Prefix {
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, _ := a.Prefix(bits)
	return p
}
