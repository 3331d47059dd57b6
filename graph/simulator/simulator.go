// Package simulator simulates the mail requests of Microsoft Graph and the sign-in of
// Microsoft Entra ID, for demonstrations and tests.
//
// It promises to refuse what Graph is known to refuse, with the documented or reported
// status, code and body, so that a client meets these refusals here before it meets them
// in a tenant. Where Microsoft's pages are ambiguous (MB or MiB, what an unsent item looks
// like), the stricter reading is the default, and an option selects the other.
//
// A Simulator is an http.Handler. It does not need to know its own address: it builds
// upload URLs from the request that creates the session. The options limit its memory,
// whatever clients send. It delivers no mail, and makes no connections.
//
// Besides Graph's and Entra's paths it serves these, for people and for tests in other
// languages:
//
//	GET    /                                 pages with mailboxes, messages and calls
//	GET    /_simulator/messages?mailbox=     []Message, of all mailboxes if none is given
//	GET    /_simulator/received?address=&q=  []Message, see Received
//	GET    /_simulator/ledger                []Delivery, see Ledger
//	GET    /_simulator/journal               []Call, see Journal
//	GET    /_simulator/stats                 Stats
//	GET    /_simulator/violations            []Violation, see Violations
//	GET    /_simulator/attachments/{id}      the content of an attachment or a MIME message
//	GET    /_simulator/faults                []Fault, see Faults
//	POST   /_simulator/faults                adds the Fault in the body: 201 {"id": n}
//	DELETE /_simulator/faults                see ClearFaults
//	GET    /_simulator/world                 World, see SetWorld
//	PUT    /_simulator/world                 puts the World in the body in force: 200 World
//	PATCH  /_simulator/world                 changes the fields in the body: 200 World
//	POST   /_simulator/items                 plants the Message in the body: 201 {"id": s}, see Plant
//	GET    /_simulator/touched               []Touch, see Touched
//	DELETE /_simulator/state                 see Reset
//	DELETE /_simulator/consent?mailbox=      see Revoke
//	GET    /_simulator/applications          []RegisteredApp, see RegisteredApps
//	POST   /_simulator/rbac                  {"appId", "roles", "mailboxes"}, see GrantRBAC
//
// The owners of mailboxes sign in at /{tenant}/oauth2/v2.0/authorize, or with a device
// code at /common/oauth2/deviceauth. No password is asked for. Applications are administered
// below /v1.0/applications and /v1.0/servicePrincipals, with the token of an administrator.
//
// Names in double quotes in comments are titles of Microsoft's pages. The marks in
// brackets give the source of a behavior: [documented] on a page, [reported] in public
// issues or questions, [assumed] by this package because there is no source.
package simulator

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Simulator is one simulated Graph, with its mailboxes, tokens, upload sessions and
// records. It is safe for concurrent use.
type Simulator struct {
	options Options
	handler http.Handler
	closed  chan struct{}
	once    sync.Once

	settings atomic.Pointer[settings]
	underWay atomic.Int64 // see UnderWay

	mu            sync.Mutex
	mailboxes     map[string]*mailbox // by lower-case address
	objectIDs     map[string]string   // object id to lower-case address
	items         int                 // in all mailboxes
	folders       map[string]int      // number of items in all mailboxes, by folder
	planted       []*item             // by tests, see Plant
	refusals      map[refusalKey]refusal
	refusedCreate map[string]bool // by application, see checkQueueProperty
	sent          []*item         // in the order in which they were sent, for eviction
	arrivals      []*arrival      // the last Options.Arrivals, oldest first
	tokens        map[string]*accessToken
	assertions    map[string]time.Time // the jti of those used, with their expiry
	sessions      map[string]*uploadSession
	grants        grants // not removed by Reset, like tokens
	directory     directory
	content       contentStore
	faults        faultList
	journal       journal
	ledger        ledger
	stats         Stats
	violations    []Violation
}

// New returns a simulator with empty mailboxes.
func New(options Options) *Simulator {
	s := &Simulator{options: options.withDefaults(), closed: make(chan struct{})}
	s.faults.seed(s.options.Seed)
	s.Reset()
	s.handler = s.routes()
	return s
}

// Close ends all waits, such as latency and hangs. Requests are still answered.
func (s *Simulator) Close() {
	s.once.Do(func() { close(s.closed) })
}

// Reset removes all items, sessions, records and faults, and puts the world of the options in
// force again. Tokens remain valid, and registered applications stay.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mailboxes = map[string]*mailbox{}
	s.objectIDs = map[string]string{}
	s.items = 0
	s.folders = map[string]int{}
	s.sent, s.planted, s.arrivals = nil, nil, nil
	s.refusals = map[refusalKey]refusal{}
	s.refusedCreate = map[string]bool{}
	s.settings.Store(&settings{World: s.options.World.clone(), since: time.Now()})
	if s.tokens == nil {
		s.tokens = map[string]*accessToken{}
		s.grants = newGrants()
		s.directory = newDirectory(s.options.TenantID)
	}
	s.sessions = map[string]*uploadSession{}
	s.content = contentStore{limit: s.options.ContentBytes, kept: map[string][]byte{}, most: s.options.Arrivals}
	s.faults.clear()
	s.journal = journal{limit: s.options.JournalSize}
	s.ledger = ledger{limit: s.options.LedgerSize}
	s.stats = newStats()
	s.violations = nil
}

// ServeHTTP implements http.Handler.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// sleep waits for d or until the simulator is closed. It does not stop if the client
// disconnects: Graph, too, completes requests whose clients have gone.
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
