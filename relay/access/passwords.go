package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/internal/bounded"

	"golang.org/x/crypto/bcrypt"
)

var (
	errWrongPassword = errors.New("wrong user name or password")
	errBusy          = errors.New("too many passwords to verify")
)

const (
	passwordLifetime = 10 * time.Minute // how long a verified password is remembered
	maxKnown         = 1000
	maxWaiting       = 256 // verifications that wait for a slot
)

// noSuchUser is a bcrypt hash that stands in for that of a user who does not exist, so
// that verifying takes as long as for one who does.
const noSuchUser = "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C"

// passwords verifies passwords. bcrypt takes some 60 ms of a core on purpose. A client
// that signs in for each message would leave no time for mail, so a password that was
// verified is remembered for a while, as a keyed hash in memory. Verifying others uses
// half of the processors at most, so that guesses leave time for mail.
type passwords struct {
	key     [32]byte
	slots   chan struct{} // verifications at a time
	waiting atomic.Int32
	mu      sync.Mutex
	known   *bounded.Map[[sha256.Size]byte, time.Time] // when each is forgotten
}

func newPasswords() *passwords {
	p := &passwords{slots: make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)), known: bounded.New[[sha256.Size]byte](maxKnown, rankByEnd)}
	_, _ = rand.Read(p.key[:]) // never fails since Go 1.24
	return p
}

// verify compares a password with the user's hash, which is empty for a user who does not
// exist. Once verify has a slot it calls allowed: of guesses that were sent at the same
// time, others may have been found wrong meanwhile.
func (p *passwords) verify(ctx context.Context, name, password, hash string, allowed func() error) error {
	id := p.id(name, password, hash)
	if p.isKnown(id) {
		return nil
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxWaiting {
		return errBusy
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := allowed(); err != nil {
		return err
	}
	if p.isKnown(id) { // verified for another client at the same time
		return nil
	}
	exists := hash != ""
	if !exists {
		hash = noSuchUser
	}
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); err != nil || !exists {
		return errWrongPassword
	}
	p.remember(id)
	return nil
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
