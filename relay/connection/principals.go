package connection

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/bounded"
	"graphrelay/internal/mailaddr"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// Principals are the clients that signed in on listeners with pass_through, each
// with an Entra credential of its own. They are kept in memory alone: mail of a
// principal that is not here, as after a restart, waits for its next sign-in.
// Principals outlive a reload.
type Principals struct {
	key    [32]byte // of the hashes by which a credential is recognised
	mu     sync.Mutex
	byLane *bounded.Map[queue.Lane, *principal] // by principalLane
}

type principal struct {
	client  *graph.Client
	mailbox string // the mailbox that its token is for; empty for an application's, which is for any
	proof   [sha256.Size]byte
	cfg     *config.Config // that the client was made from
	used    time.Time
}

const (
	maxPrincipals = 10_000
	principalIdle = 7 * 24 * time.Hour // without a sign-in, a principal is forgotten if there are too many
	signInTimeout = 30 * time.Second
)

// NewPrincipals returns an empty set.
func NewPrincipals() *Principals {
	p := &Principals{byLane: bounded.New[queue.Lane](maxPrincipals, func(n *principal) bounded.Rank {
		if time.Since(n.used) > principalIdle {
			return bounded.Rank{Class: bounded.Expired}
		}
		return bounded.Rank{Used: n.used}
	})}
	_, _ = rand.Read(p.key[:]) // never fails since Go 1.24
	return p
}

// principalLane returns what stands for all lanes of a principal.
func principalLane(connection, name string) queue.Lane {
	return queue.Lane{Connection: connection, Principal: mailaddr.Canonical(name)}
}

func (p *Principals) find(lane queue.Lane) *principal {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, _ := p.byLane.Get(lane)
	return n
}

func (p *Principals) touch(n *principal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.used = time.Now()
}

// Ready reports whether the principal of a lane has signed in, with a credential
// that still gets a token.
func (p *Principals) Ready(ctx context.Context, lane queue.Lane) bool {
	n := p.find(lane.Whole())
	if n == nil {
		return false
	}
	_, err := n.client.Token(ctx, "")
	return err == nil
}

// Client returns the client of the lane's principal, or nil.
func (p *Principals) Client(lane queue.Lane) *graph.Client {
	if n := p.find(lane.Whole()); n != nil {
		return n.client
	}
	return nil
}

func (p *Principals) prove(credential string) (sum [sha256.Size]byte) {
	m := hmac.New(sha256.New, p.key[:])
	m.Write([]byte(credential))
	m.Sum(sum[:0])
	return sum
}

func (p *Principals) keep(lane queue.Lane, n *principal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byLane.Put(lane, n)
}

// PassThrough signs principals in, as one configuration says.
type PassThrough struct {
	Config     *config.Config
	Principals *Principals
	// Observer returns what counts the requests of a connection.
	Observer func(connection string) graph.Observer
	// SignedIn is called when a principal has signed in anew. lane has no mailbox: it
	// stands for all lanes of the principal.
	SignedIn func(lane queue.Lane)
}

// SignInApplication signs an application in. name is the user name that it gave,
// which stands for it in its lanes. Entra decides whether the secret is right.
func (p *PassThrough) SignInApplication(ctx context.Context, c *config.Connection, name, clientID, tenant, secret string) error {
	of := *c
	of.Tenant, of.ClientID = tenant, clientID
	return p.signIn(ctx, of, name, secret, "", entra.ClientSecret{App: appOf(of), Secret: secret})
}

// SignInToken signs in the owner of a mailbox, who brings a token for Graph. Graph
// decides whether the token is good for the mailbox.
func (p *PassThrough) SignInToken(ctx context.Context, c *config.Connection, user, token string) error {
	of := *c
	mailbox := mailaddr.Canonical(user)
	of.Tenant, of.ClientID = "", mailbox
	return p.signIn(ctx, of, user, token, mailbox, &entra.PassThroughToken{Value: oauth2.Token{AccessToken: token}})
}

// Knows reports whether the credential is the one that the principal last signed in with, so
// that Microsoft need not be asked about it.
func (p *PassThrough) Knows(c *config.Connection, name, credential string) bool {
	old := p.Principals.find(principalLane(c.Name, name))
	return old != nil && old.proof == p.Principals.prove(credential) && old.cfg == p.Config
}

func (p *PassThrough) signIn(ctx context.Context, c config.Connection, name, credential, mailbox string, s graph.SignIn) error {
	lane, proof := principalLane(c.Name, name), p.Principals.prove(credential)
	old := p.Principals.find(lane)
	if old != nil && old.proof == proof && old.cfg == p.Config {
		p.Principals.touch(old)
		if mailbox != "" { // Graph checks the token again when it is used
			return nil
		}
		_, err := old.client.Token(ctx, "")
		return err
	}
	client := NewClient(p.Config, c, s, p.Observer(c.Name))
	if old != nil {
		client.ShareLimits(old.client)
	}
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	if err := tryCredential(ctx, client, credential, mailbox); err != nil {
		client.Close()
		return err
	}
	p.Principals.keep(lane, &principal{client: client, mailbox: mailbox, proof: proof, cfg: p.Config, used: time.Now()})
	p.SignedIn(lane)
	return nil
}

// tryCredential asks Entra for a token, or, where the client has brought one, asks
// Graph whether it is good for the mailbox.
func tryCredential(ctx context.Context, client *graph.Client, credential, mailbox string) error {
	if mailbox == "" {
		_, err := client.Token(ctx, "")
		return err
	}
	_, err := client.Mailbox(mailbox).Probe(ctx)
	if graph.AccessDenied(err) && maySendOnly(credential, mailbox) {
		return nil
	}
	return err
}

// maySendOnly reports whether a token that Graph knows, but does not let look into
// the mailbox, is its owner's with Mail.Send alone. An application's token would not
// do: anybody has some such token and could put it in the place of another client's,
// whereas a sign-in name belongs to one tenant alone.
func maySendOnly(token, mailbox string) bool {
	c := claimsOf(token)
	return slices.Contains(strings.Fields(c.Scope), "Mail.Send") && strings.EqualFold(c.UPN, mailbox)
}

// Lane returns the lane by which a principal sends as address: from the mailbox that
// its token is for or, if it is an application, from the address itself. Graph decides
// what the credential may be used for.
func (p *PassThrough) Lane(c *config.Connection, name, address string) (queue.Lane, error) {
	lane := principalLane(c.Name, name)
	n := p.Principals.find(lane)
	if n == nil {
		return queue.Lane{}, fmt.Errorf("the credential of %s is no longer in memory", name)
	}
	mailbox := n.mailbox
	if mailbox == "" {
		mailbox = mailaddr.Canonical(address)
	}
	lane.Mailbox = mailbox
	return lane, nil
}
