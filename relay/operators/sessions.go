package operators

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"graphrelay/internal/bounded"
)

// How long sessions and links last, and how many there are.
const (
	sessionIdle   = time.Hour      // without a request
	sessionLength = 12 * time.Hour // with requests
	maxSessions   = 1000
	maxOwn        = 16 // sessions of one person
	maxLinks      = 100

	// LinkLife is how long the link of graphrelay console can be used.
	LinkLife = 10 * time.Minute
)

// sessions are the sessions of all persons, and the links that begin one. They are in memory
// alone: they outlive a reload, and end with the process. What is kept of a session's secret is
// its hash.
type sessions struct {
	mu     sync.Mutex
	byHash map[secretHash]*session
	links  *bounded.Map[secretHash, link]
}

// session is that of a person who signed in.
type session struct {
	person      Person
	grant       string // what let the person in; see Gate.grants
	began, used time.Time
}

// link begins a session once.
type link struct {
	person Person
	until  time.Time
}

// secretHash is the hash of a random secret of 128 bits or more, which needs no salt.
type secretHash [sha256.Size]byte

func hashOf(secret string) secretHash { return sha256.Sum256([]byte(secret)) }

// newSecret returns a random text of 256 bits.
func newSecret() string { return rand.Text() + rand.Text() }

func newSessions() *sessions {
	return &sessions{byHash: map[secretHash]*session{}, links: bounded.New[secretHash](maxLinks, func(l link) bounded.Rank {
		if time.Now().After(l.until) {
			return bounded.Rank{Class: bounded.Expired}
		}
		return bounded.Rank{Used: l.until}
	})}
}

// begin returns the secret of a new session. Beyond the bounds the person's own session that has
// been idle for the longest time ends, or that of whoever has the most.
func (s *sessions) begin(p Person, grant string) string {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	owned := map[Person]int{}
	for _, other := range s.byHash {
		owned[owner(other.person)]++
	}
	most := owner(p)
	if full := len(s.byHash) >= maxSessions; full || owned[most] >= maxOwn {
		for o, n := range owned {
			if full && n > owned[most] {
				most = o
			}
		}
		s.evict(most)
	}
	secret := newSecret()
	s.byHash[hashOf(secret)] = &session{person: p, grant: grant, began: now, used: now}
	return secret
}

// owner returns what makes a person one and the same, wherever it comes from.
func owner(p Person) Person { return Person{Name: p.Name, Way: p.Way} }

// evict ends the session of a person that has been idle for the longest time.
func (s *sessions) evict(of Person) {
	var oldest secretHash
	var used time.Time
	for id, other := range s.byHash {
		if owner(other.person) == of && (used.IsZero() || other.used.Before(used)) {
			oldest, used = id, other.used
		}
	}
	delete(s.byHash, oldest)
}

func (s *sessions) sweep(now time.Time) {
	for id, other := range s.byHash {
		if other.over(now) {
			delete(s.byHash, id)
		}
	}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= sessionIdle || now.Sub(s.began) >= sessionLength
}

// find returns the session with a secret.
func (s *sessions) find(secret string) (session, bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byHash[hashOf(secret)]
	if found == nil || found.over(now) {
		delete(s.byHash, hashOf(secret))
		return session{}, false
	}
	found.used = now
	return *found, true
}

// end ends the session with a secret, and returns whose it was.
func (s *sessions) end(secret string) (p Person, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := hashOf(secret)
	found := s.byHash[id]
	delete(s.byHash, id)
	if found == nil || found.over(time.Now()) {
		return p, false
	}
	return found.person, true
}

// link returns the token of a link with which a person can begin one session.
func (s *sessions) link(p Person, life time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := newSecret()
	s.links.Put(hashOf(token), link{p, time.Now().Add(life)})
	return token
}

// useLink returns the person of a link, which cannot be used again.
func (s *sessions) useLink(token string) (Person, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.links.Get(hashOf(token))
	s.links.Delete(hashOf(token))
	return l.person, ok && time.Now().Before(l.until)
}
