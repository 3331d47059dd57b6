//go:build ignore

package relay

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/smtpd"
)

var errBlocked = errors.New("too many wrong passwords")

// guard slows down who guesses passwords, then refuses to look at more of them. It
// counts wrong ones in windows of time that are as long as a block:
//
//   - for one user from one address (IPv6: a /64), which blocks the user there;
//   - for all users from an address, and from its network, which blocks whoever has
//     not signed in from there before;
//   - for one user from everywhere, which only makes sign-ins wait, of those who have
//     not signed in from there before: nobody can lock a user out from elsewhere.
//
// A right password counts for nothing, and undoes the user's wrong ones from there.
type guard struct {
	failures int
	block    time.Duration
	seed     maphash.Seed

	mu       sync.Mutex
	pairs    tallies[pair]
	machines tallies[netip.Prefix]
	sites    tallies[netip.Prefix]
	users    tallies[uint64]
}

// pair is a user at an address. Names are strangers' and of any length, so a hash stands for them.
type pair struct {
	user    uint64
	machine netip.Prefix
}

// How many times the failures of a user from an address an address and a network may have.
const (
	perMachine = 3
	perSite    = 10
)

// The delays of wrong passwords, and of sign-ins of a user whom many addresses try.
const (
	firstDelay = 250 * time.Millisecond // doubles each time
	maxDelay   = 4 * time.Second
	userDelay  = 100 * time.Millisecond // for each failure beyond twice what a pair may have
)

// goodTime is how long a user who has signed in from an address is known there.
const goodTime = 24 * time.Hour

func newGuard(failures int, block time.Duration) *guard {
	return &guard{
		failures: failures, block: block, seed: maphash.MakeSeed(),
		pairs: tallies[pair]{}, machines: tallies[netip.Prefix]{}, sites: tallies[netip.Prefix]{}, users: tallies[uint64]{},
	}
}

// four are the tallies that a sign-in belongs to.
type four struct{ pair, machine, site, user *tally }

func (g *guard) tallies(client netip.Addr, user string) four {
	id, machine, now := maphash.String(g.seed, user), smtpd.HostPrefix(client), time.Now()
	return four{
		g.pairs.at(pair{id, machine}, now, g.block), g.machines.at(machine, now, g.block),
		g.sites.at(smtpd.NetworkPrefix(client), now, g.block), g.users.at(id, now, g.block),
	}
}

// check answers errBlocked, or how long the sign-in has to wait before it is looked at.
func (g *guard) check(client netip.Addr, user string) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	if t.pair.failures >= g.failures {
		return 0, errBlocked
	}
	if time.Now().Before(t.pair.good) {
		return 0, nil
	}
	if t.machine.failures >= perMachine*g.failures || t.site.failures >= perSite*g.failures {
		return 0, errBlocked
	}
	return min(userDelay*time.Duration(max(t.user.failures-2*g.failures, 0)), maxDelay), nil
}

// failed counts a wrong password, and returns how long its answer has to wait.
func (g *guard) failed(client netip.Addr, user string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	t.pair.add(g.failures)
	t.machine.add(perMachine * g.failures)
	t.site.add(perSite * g.failures)
	t.user.add(0)
	n := max(t.pair.failures, t.machine.failures/perMachine)
	return min(firstDelay<<min(n-1, 10), maxDelay)
}

// succeeded undoes the failures of one who only mistyped the password.
func (g *guard) succeeded(client netip.Addr, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	for _, of := range []*tally{t.machine, t.site, t.user} {
		of.failures = max(of.failures-t.pair.failures, 0)
	}
	t.pair.failures, t.pair.good = 0, time.Now().Add(goodTime)
}

// tally counts failures from since on.
type tally struct {
	failures int
	since    time.Time // when the window or the block began
	good     time.Time // until when the pair is known
}

// add begins the block with the failure that reaches the limit.
func (t *tally) add(limit int) {
	if t.failures++; t.failures == 1 || t.failures == limit {
		t.since = time.Now()
	}
}

func (t *tally) expire(now time.Time, block time.Duration) {
	if now.Sub(t.since) >= block {
		t.failures = 0
	}
}

// maxTallies bounds each kind: a stranger with many addresses can make up any number.
const maxTallies = 10_000

type tallies[K comparable] map[K]*tally

// at finds or makes a tally.
func (m tallies[K]) at(k K, now time.Time, block time.Duration) *tally {
	t := m[k]
	if t == nil {
		m.sweep(now, block)
		t = &tally{}
		m[k] = t
	}
	t.expire(now, block)
	return t
}

// sweep halves what is too much, so that it seldom has to: what says nothing goes
// first, then single failures, then all but those who have signed in, who are no strangers.
func (m tallies[K]) sweep(now time.Time, block time.Duration) {
	if len(m) < maxTallies {
		return
	}
	for _, spared := range []func(*tally) bool{
		func(t *tally) bool { return t.failures > 0 || now.Before(t.good) },
		func(t *tally) bool { return t.failures > 1 || now.Before(t.good) },
		func(t *tally) bool { return now.Before(t.good) },
		func(*tally) bool { return false },
	} {
		for k, t := range m {
			if t.expire(now, block); !spared(t) {
				delete(m, k)
			}
		}
		if len(m) <= maxTallies/2 {
			return
		}
	}
}
