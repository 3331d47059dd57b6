package operators

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"graphrelay/internal/fair"
	"graphrelay/internal/sealed"
	"graphrelay/relay/access"
	"graphrelay/relay/queue"
)

// Sign-ins at a time, so that those that are slowed down leave the connections of the admin address
// to others.
const (
	maxSignIns       = 16
	maxClientSignIns = 4
	maxWaiting       = 16
)

// State is what outlives a reload: the sessions, the links, and what is known of guesses.
type State struct {
	sessions *sessions
	guard    *access.Guard
	verify   *access.Verifications
	slots    *fair.Slots[netip.Prefix] // of sign-ins, by host
	key      sealed.Key                // of sign-ins that browsers keep
	audit    *auditor
}

// NewState returns a state without sessions. Passwords are verified in verify, which is shared
// with others; record stores an audit, in the place of an earlier one with its ID.
func NewState(verify *access.Verifications, record func(context.Context, queue.Audit) error) *State {
	return &State{
		sessions: newSessions(), guard: access.NewGuard(), verify: verify, key: sealed.NewKey(), audit: newAuditor(record),
		slots: fair.New[netip.Prefix](fair.Limits{Slots: maxSignIns, PerClient: maxClientSignIns, Waiting: maxWaiting}),
	}
}

// LinkPath returns the path of the link with a token, with its query.
func LinkPath(token string) string { return linkPath + "?" + url.Values{"token": {token}}.Encode() }

// Configure sets after how many wrong passwords sign-ins are blocked, and for how long.
func (s *State) Configure(failures int, block time.Duration) { s.guard.Configure(failures, block) }

// Link returns the token of a link with which a user of this system can begin one session as
// administrator. life is LinkLife if it is 0.
func (s *State) Link(ctx context.Context, user string, life time.Duration, log *slog.Logger) string {
	s.audit.event(ctx, log, Person{Name: user, Way: ByCommand}, "console link", "")
	return s.sessions.link(Person{Name: user, Role: Admin, Way: ByLink}, cmp.Or(life, LinkLife))
}
