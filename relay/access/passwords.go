package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/internal/bounded"
	"graphrelay/internal/fair"
	"graphrelay/relay/smtpd"
)

// ErrWrongPassword means that the name or the password is wrong.
var ErrWrongPassword = errors.New("wrong user name or password")

const (
	passwordLifetime = 10 * time.Minute // how long a verified password is remembered
	maxKnown         = 1000
	maxWaiting       = 256 // sign-ins that wait for their turn
)

// bcryptSum is the salt and the sum of some bcrypt hash, to be compared with in vain.
const bcryptSum = "/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C"

// passwords verifies passwords. bcrypt takes some 60 ms of a core on purpose. A client
// that signs in for each message would leave no time for mail, so a password that was
// verified is remembered for a while, as a keyed hash in memory. Verifying others uses
// half of the processors at most, so that guesses leave time for mail, and clients take
// turns.
type passwords struct {
	cost    int // the highest of all hashes
	compare func(hash, password []byte) error
	key     [32]byte
	slots   *Verifications
	mu      sync.Mutex
	known   *bounded.Map[[sha256.Size]byte, time.Time] // when each is forgotten
}

// Verifications are the passwords that are being verified at a time, by host, wherever they are
// given.
type Verifications = fair.Slots[netip.Prefix]

// NewVerifications returns verifications that take half of the processors.
func NewVerifications() *Verifications {
	slots := max(runtime.GOMAXPROCS(0)/2, 1)
	return fair.New[netip.Prefix](fair.Limits{Slots: slots, PerClient: slots, Waiting: maxWaiting})
}

func newPasswords(cost int, slots *Verifications) *passwords {
	p := &passwords{
		cost: cost, compare: bcrypt.CompareHashAndPassword, known: bounded.New[[sha256.Size]byte](maxKnown, rankByEnd), slots: slots,
	}
	_, _ = rand.Read(p.key[:]) // never fails since Go 1.24
	return p
}

// highestCost returns the highest cost of hashes, or that of the users whom the relay makes.
func highestCost(hashes []string) int {
	highest := bcrypt.DefaultCost
	for _, hash := range hashes {
		if cost, err := bcrypt.Cost([]byte(hash)); err == nil {
			highest = max(highest, cost)
		}
	}
	return highest
}

// verify compares a password with the user's hash, which is empty for a user who does not
// exist. Once verify has a slot it calls allowed: of guesses that were sent at the same
// time, others may have been found wrong meanwhile.
func (p *passwords) verify(ctx context.Context, client netip.Addr, name, password, hash string, allowed func() error) error {
	id := p.id(name, password, hash)
	if p.isKnown(id) {
		return nil
	}
	release, err := p.slots.Acquire(ctx, smtpd.HostPrefix(client))
	if err != nil {
		return err
	}
	defer release()
	if err := allowed(); err != nil {
		return err
	}
	if p.isKnown(id) { // verified for another client at the same time
		return nil
	}
	if !p.matches(hash, password) {
		return ErrWrongPassword
	}
	p.remember(id)
	return nil
}

// matches reports whether the password is that of the hash. If not, it has taken as long as
// for the costliest of all hashes, so that the time does not tell which users exist.
func (p *passwords) matches(hash, password string) bool {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil { // there is no such user
		p.waste(p.cost, password)
		return false
	}
	if p.compare([]byte(hash), []byte(password)) == nil {
		return true
	}
	for ; cost < p.cost; cost++ { // each cost takes as long as all below it
		p.waste(cost, password)
	}
	return false
}

func (p *passwords) waste(cost int, password string) {
	_ = p.compare(fmt.Appendf(nil, "$2a$%02d$%s", cost, bcryptSum), []byte(password))
}

func (p *passwords) id(name, password, hash string) (id [sha256.Size]byte) {
	m := hmac.New(sha256.New, p.key[:])
	for _, s := range []string{name, hash, password} { // only the last one can hold a NUL
		m.Write([]byte(s))
		m.Write([]byte{0})
	}
	m.Sum(id[:0])
	return id
}

func (p *passwords) isKnown(id [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	end, ok := p.known.Get(id)
	return ok && time.Now().Before(end)
}

func (p *passwords) remember(id [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.Put(id, time.Now().Add(passwordLifetime))
}

// rankByEnd ranks what is remembered until a time.
func rankByEnd(end time.Time) bounded.Rank {
	if !time.Now().Before(end) {
		return bounded.Rank{Class: bounded.Expired}
	}
	return bounded.Rank{Used: end}
}
