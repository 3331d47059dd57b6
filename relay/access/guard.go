package access

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/relay/gossip"
	"graphrelay/relay/smtpd"
)

// ErrBlocked means that too many passwords were wrong.
var ErrBlocked = errors.New("too many wrong passwords")

// Guard slows down clients that guess passwords, and then stops verifying theirs. It
// counts wrong passwords in windows of time as long as a block:
//
//   - for one user at one host (IPv4 address or IPv6 /64), which blocks the user at that
//     host;
//   - for all users at a host, and for all in its network, which blocks every user who
//     has not signed in from that host before;
//   - for one user everywhere, which only delays sign-ins from hosts where the user has
//     not signed in before, so that nobody can lock a user out from elsewhere.
//
// A right password is not counted, and takes back the user's wrong ones at that host. A Guard
// outlives a reload; whom it knows outlives a restart, see Save. What other nodes of the queue
// have counted counts too, some seconds later (see package gossip). Whom they know does not, and
// a right password takes back only what was counted on its node.
type Guard struct {
	gossip.Counts[pair]
	saving   sync.Mutex // held while the file is written
	mu       sync.Mutex
	failures int
	block    time.Duration
	known    knownClients
	pairs    tallies[pair]
	hosts    tallies[netip.Prefix]
	networks tallies[netip.Prefix]
	users    tallies[uint64]
}

// pair is a user at a host. The user is a hash of the name: unknown clients send names of
// any length, and sometimes a password as the name.
type pair struct {
	User uint64
	Host netip.Prefix
}

// userHash is the same on every node.
func userHash(name string) uint64 {
	sum := sha256.Sum256([]byte("graphrelay user\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
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

// NewGuard returns a guard that has counted nothing and knows nobody.
func NewGuard() *Guard {
	g := &Guard{known: newKnownClients()}
	g.pairs, g.hosts, g.networks, g.users = newTallies[pair](g), newTallies[netip.Prefix](g), newTallies[netip.Prefix](g), newTallies[uint64](g)
	return g
}

// Configure sets how many failures of one user at one host are blocked, and for how long.
func (g *Guard) Configure(failures int, block time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.block = failures, block
}

// signInTallies are the tallies on which a sign-in counts.
type signInTallies struct{ pair, host, network, user *tally }

func (g *Guard) tallies(client netip.Addr, user string) signInTallies {
	return g.talliesOf(pair{userHash(user), smtpd.HostPrefix(client)})
}

func (g *Guard) talliesOf(p pair) signInTallies {
	now := time.Now()
	return signInTallies{
		g.pairs.at(p, now), g.hosts.at(p.Host, now),
		g.networks.at(smtpd.NetworkPrefix(p.Host.Addr()), now), g.users.at(p.User, now),
	}
}

// check returns ErrBlocked, or how long the sign-in has to wait before its password is
// verified.
func (g *Guard) check(client netip.Addr, user string) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	if t.pair.failures >= g.failures {
		return 0, ErrBlocked
	}
	if g.known.has(user, smtpd.HostPrefix(client), time.Now()) {
		return 0, nil
	}
	if t.host.failures >= hostFactor*g.failures || t.network.failures >= networkFactor*g.failures {
		return 0, ErrBlocked
	}
	return min(userDelay*time.Duration(max(t.user.failures-2*g.failures, 0)), maxDelay), nil
}

// failed counts a wrong password, and returns how long its answer has to wait.
func (g *Guard) failed(client netip.Addr, user string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	g.fail(t)
	g.Counts.Add(pair{userHash(user), smtpd.HostPrefix(client)}, 1, 0)
	n := max(t.pair.failures, t.host.failures/hostFactor)
	return min(firstDelay<<min(n-1, 10), maxDelay)
}

func (g *Guard) fail(t signInTallies) {
	t.pair.add(g.failures)
	t.host.add(hostFactor * g.failures)
	t.network.add(networkFactor * g.failures)
	t.user.add(0)
}

// maxLearned bounds how many wrong passwords of one client and user one note of another node
// counts for. A block takes fewer.
const maxLearned = 1000

// Learn implements gossip.Part.
func (g *Guard) Learn(data json.RawMessage) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return gossip.Each(data, func(p pair, failures, _ int64) {
		for range min(failures, maxLearned) {
			g.fail(g.talliesOf(p))
		}
	})
}

// succeeded takes back the failures of a user who only mistyped the password.
func (g *Guard) succeeded(client netip.Addr, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tallies(client, user)
	for _, of := range []*tally{t.host, t.network, t.user} {
		of.failures = max(of.failures-t.pair.failures, 0)
	}
	t.pair.failures = 0
	g.known.add(user, smtpd.HostPrefix(client), time.Now())
}

// tally counts failures since a time.
type tally struct {
	failures int
	since    time.Time // when the window or the block began
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
	guard *Guard
}

// newTallies returns tallies of which those with a single failure are evicted first.
func newTallies[K comparable](g *Guard) tallies[K] {
	return tallies[K]{bounded.New[K](maxTallies, func(t *tally) bounded.Rank {
		n := t.failuresAt(time.Now(), g.block)
		if n == 0 {
			return bounded.Rank{Class: bounded.Expired}
		}
		return bounded.Rank{Class: min(n, 2) - 1, Used: t.since}
	}), g}
}

// at returns the tally of k, which it creates if there is none. The guard is locked.
func (m tallies[K]) at(k K, now time.Time) *tally {
	t := m.GetOrPut(k, func() *tally { return &tally{} })
	t.failures = t.failuresAt(now, m.guard.block)
	return t
}
