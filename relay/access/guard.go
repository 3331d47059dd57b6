package access

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/relay/smtpd"
)

var errBlocked = errors.New("too many wrong passwords")

// guard slows down clients that guess passwords, and then stops verifying theirs. It
// counts wrong passwords in windows of time as long as a block:
//
//   - for one user at one host (IPv4 address or IPv6 /64), which blocks the user at that
//     host;
//   - for all users at a host, and for all in its network, which blocks every user who
//     has not signed in from that host before;
//   - for one user everywhere, which only delays sign-ins from hosts where the user has
//     not signed in before, so that nobody can lock a user out from elsewhere.
//
// A right password is not counted, and takes back the user's wrong ones at that host.
type guard struct {
	failures int
	block    time.Duration
	seed     maphash.Seed

	mu       sync.Mutex
	pairs    tallies[pair]
	hosts    tallies[netip.Prefix]
	networks tallies[netip.Prefix]
	users    tallies[uint64]
}

// pair is a user at a host. The user is a hash of the name: unknown clients send names of
// any length.
type pair struct {
	user uint64
	host netip.Prefix
}

// A host and a network may have this many times the failures of one user at one host.
const (
	hostFactor    = 3
	networkFactor = 10
)

// The delays after wrong passwords, and before sign-ins of a user whose password is tried
// from many hosts.
const (
	firstDelay = 250 * time.Millisecond // doubles each time
	maxDelay   = 4 * time.Second
	userDelay  = 100 * time.Millisecond // for each failure of the user beyond twice auth_failures
)

// knownFor is how long a user who has signed in from a host is known there.
const knownFor = 24 * time.Hour

func newGuard(failures int, block time.Duration) *guard {
	return &guard{
		failures: failures, block: block, seed: maphash.MakeSeed(),
		pairs: newTallies[pair](block), hosts: newTallies[netip.Prefix](block), networks: newTallies[netip.Prefix](block), users: newTallies[uint64](block),
	}
}

// signInTallies are the tallies on which a sign-in counts.
type signInTallies struct{ pair, host, network, user *tally }

func (g *guard) tallies(client netip.Addr, user string) signInTallies {
	id, host, now := maphash.String(g.seed, user), smtpd.HostPrefix(client), time.Now()
	return signInTallies{
		g.pairs.at(pair{id, host}, now), g.hosts.at(host, now),
		g.networks.at(smtpd.NetworkPrefix(client), now), g.users.at(id, now),
	}
}

// check returns errBlocked, or how long the sign-in has to wait before its password is
// verified.
func (g *guard) check(client netip.Addr, user string) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	if t.pair.failures >= g.failures {
		return 0, errBlocked
	}
	if time.Now().Before(t.pair.knownUntil) {
		return 0, nil
	}
	if t.host.failures >= hostFactor*g.failures || t.network.failures >= networkFactor*g.failures {
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
	t.host.add(hostFactor * g.failures)
	t.network.add(networkFactor * g.failures)
	t.user.add(0)
	n := max(t.pair.failures, t.host.failures/hostFactor)
	return min(firstDelay<<min(n-1, 10), maxDelay)
}

// succeeded takes back the failures of a user who only mistyped the password.
func (g *guard) succeeded(client netip.Addr, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	for _, of := range []*tally{t.host, t.network, t.user} {
		of.failures = max(of.failures-t.pair.failures, 0)
	}
	t.pair.failures, t.pair.knownUntil = 0, time.Now().Add(knownFor)
}

// tally counts failures since a time.
type tally struct {
	failures   int
	since      time.Time // when the window or the block began
	knownUntil time.Time // of a pair: the user has signed in from the host
}

// add counts a failure. The block begins with the one that reaches the limit.
func (t *tally) add(limit int) {
	if t.failures++; t.failures == 1 || t.failures == limit {
		t.since = time.Now()
	}
}

// failuresAt returns the failures that count at a time.
func (t *tally) failuresAt(now time.Time, block time.Duration) int {
	if now.Sub(t.since) >= block {
		return 0
	}
	return t.failures
}

// maxTallies bounds each kind of tally: an attacker with many addresses can cause any
// number of them.
const maxTallies = 10_000

type tallies[K comparable] struct {
	*bounded.Map[K, *tally]
	block time.Duration
}

// newTallies returns tallies of which those of known users are evicted last, and those
// with a single failure first.
func newTallies[K comparable](block time.Duration) tallies[K] {
	return tallies[K]{bounded.New[K](maxTallies, func(t *tally) bounded.Rank {
		now := time.Now()
		switch n := t.failuresAt(now, block); {
		case now.Before(t.knownUntil):
			return bounded.Rank{Class: 2, Used: t.since}
		case n == 0:
			return bounded.Rank{Class: bounded.Expired}
		default:
			return bounded.Rank{Class: min(n, 2) - 1, Used: t.since}
		}
	}), block}
}

// at returns the tally of k, which it creates if there is none.
func (m tallies[K]) at(k K, now time.Time) *tally {
	t := m.GetOrPut(k, func() *tally { return &tally{} })
	t.failures = t.failuresAt(now, m.block)
	return t
}
