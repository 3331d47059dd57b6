// Package simulator stands in for Microsoft Graph's mail calls and for the Entra
// token endpoint, in demonstrations and in tests.
//
// It promises to refuse what Graph is known to refuse, with the status, code and
// body that are documented or were reported, so that a client which works here has
// met the refusals before it meets them in a tenant. Where Microsoft's pages leave
// a line open (MB or MiB, what an unsent item looks like), the stricter reading is
// the default and an option chooses the other.
//
// A Simulator is an http.Handler and needs not know its own address: upload URLs
// are built from the request that asks for one. Memory is bounded by the options,
// never by what clients send. Nothing leaves the process: no mail is delivered.
//
// Beside Graph's own paths it answers, for people and for tests in other languages:
//
//	GET    /                                 page of mailboxes, messages and calls
//	GET    /_simulator/messages?mailbox=     []Message, of all mailboxes if none is named
//	GET    /_simulator/ledger                []Delivery
//	GET    /_simulator/journal               []Call
//	GET    /_simulator/stats                 Stats
//	GET    /_simulator/violations            []Violation
//	GET    /_simulator/attachments/{id}      content of an attachment or of a MIME message
//	GET    /_simulator/faults                []Fault
//	POST   /_simulator/faults                arms the Fault in the body, 201 {"id": n}
//	DELETE /_simulator/faults                disarms all of them
//	DELETE /_simulator/state                 as Reset
//	DELETE /_simulator/consent?mailbox=      as Revoke
//
// Owners of mailboxes sign in at /{tenant}/oauth2/v2.0/authorize, or with a device code at
// /common/oauth2/deviceauth; nobody is asked for a password.
//
// Marks in comments: [documented] on a Microsoft page, [reported] in public issues
// or questions, [assumed] by this package because no source says.
package simulator

import (
	"html/template"
	"net/http"
	"sync"
	"time"
)

// Simulator holds the mailboxes, tokens, upload sessions and records of one
// simulated Graph. Its methods may be called at any time from any goroutine.
type Simulator struct {
	options Options
	handler http.Handler
	page    *template.Template
	closed  chan struct{}
	once    sync.Once

	mu         sync.Mutex
	mailboxes  map[string]*mailbox // by lower-case address
	objectIDs  map[string]string   // object id to lower-case address
	items      int                 // over all mailboxes
	sent       []*item             // in the order of sending, for eviction
	tokens     map[string]*accessToken
	assertions map[string]time.Time // the jti of those taken, until when they are valid
	sessions   map[string]*uploadSession
	grants     grants // kept over a Reset, as tokens are
	content    contentStore
	faults     faultList
	journal    journal
	ledger     ledger
	stats      Stats
	violations []Violation
}

// New returns a simulator with empty mailboxes. The zero Options are usable.
func New(options Options) *Simulator {
	s := &Simulator{options: options.withDefaults(), closed: make(chan struct{})}
	s.faults.seed(s.options.Seed)
	s.Reset()
	s.page = pageTemplate()
	s.handler = s.routes()
	return s
}

// Close ends waits (latency, hangs, sends under way). Requests are still answered.
func (s *Simulator) Close() {
	s.once.Do(func() { close(s.closed) })
}

// Reset forgets every item, session, record and fault. Tokens stay valid.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mailboxes = map[string]*mailbox{}
	s.objectIDs = map[string]string{}
	s.items = 0
	s.sent = nil
	if s.tokens == nil {
		s.tokens = map[string]*accessToken{}
		s.grants = newGrants()
	}
	s.sessions = map[string]*uploadSession{}
	s.content = contentStore{limit: s.options.ContentBytes, kept: map[string][]byte{}}
	s.faults.clear()
	s.journal = journal{limit: s.options.JournalSize}
	s.ledger = ledger{limit: s.options.LedgerSize}
	s.stats = newStats()
	s.violations = nil
}

// ServeHTTP answers Graph's calls, the token endpoint, upload URLs, and the viewer.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// sleep waits for d or until the simulator is closed. It goes on when the client
// leaves: Graph, too, finishes what a client has stopped waiting for.
func (s *Simulator) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
}
