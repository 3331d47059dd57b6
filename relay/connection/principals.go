//go:build ignore

package relay

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/buildinfo"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// visitors are who signed in on listeners with pass_through, with the credential that
// each of them brought: in memory alone. What is queued of one that is not here, as after
// a restart, waits for its next sign-in. It lives over reloads.
type visitors struct {
	key [32]byte // of the hashes by which a credential is known again
	mu  sync.Mutex
	by  map[string]*visitor // by the connection of their lanes; see visitorLane
}

type visitor struct {
	client  *graph.Client
	mailbox string // that a token is for; empty: an application's, for any
	proof   [sha256.Size]byte
	cfg     *config.Config // that the client was made from
	used    time.Time
}

const (
	maxVisitors    = 10_000
	visitorTime    = 7 * 24 * time.Hour // without a sign-in, when there are too many
	visitorTimeout = 30 * time.Second   // of a sign-in
)

func newVisitors() *visitors {
	v := &visitors{by: map[string]*visitor{}}
	_, _ = rand.Read(v.key[:]) // never fails since Go 1.24
	return v
}

// visitorLane is what stands for the connection in the lanes of a visitor.
func visitorLane(connection, principal string) string {
	return connection + queue.PrincipalMark + strings.ToLower(principal)
}

func (v *visitors) find(lane string) *visitor {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.by[lane]
}

func (v *visitors) touch(n *visitor) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n.used = time.Now()
}

// ready says whether the visitor of a lane is here, with a credential that is good.
func (v *visitors) ready(ctx context.Context, lane string) bool {
	n := v.find(lane)
	if n == nil {
		return false
	}
	_, err := n.client.Token(ctx, "")
	return err == nil
}

func (v *visitors) prove(credential string) (sum [sha256.Size]byte) {
	m := hmac.New(sha256.New, v.key[:])
	m.Write([]byte(credential))
	m.Sum(sum[:0])
	return sum
}

func (v *visitors) keep(lane string, n *visitor) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.by) >= maxVisitors {
		maps.DeleteFunc(v.by, func(_ string, old *visitor) bool { return time.Since(old.used) > visitorTime })
	}
	if len(v.by) >= maxVisitors {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(v.by)), func(a, b string) int { return v.by[a].used.Compare(v.by[b].used) })
		delete(v.by, oldest)
	}
	v.by[lane] = n
}

// visit signs a visitor in, with s for the application: Entra says whether its secret is
// good, or, where mailbox is given, Graph whether the token is good for that.
func (p *policy) visit(ctx context.Context, who smtpd.Identity, name, credential, mailbox string, app entra.App, s graph.SignIn) error {
	wait, err := p.guard.check(who.Client, name)
	if err != nil {
		return err
	}
	sleep(ctx, wait)
	c := p.passThrough(who)
	lane, proof := visitorLane(c.Name, name), p.visitors.prove(credential)
	old := p.visitors.find(lane)
	if old != nil && old.proof == proof && old.cfg == p.cfg {
		p.visitors.touch(old)
		if mailbox != "" { // the token is asked about again when it is used
			return nil
		}
		_, err = old.client.Token(ctx, "")
		return err
	}
	of := *c
	of.Tenant, of.ClientID = app.Tenant, app.ClientID
	client := graph.New(clientConfig(p.cfg, of, s, buildinfo.Read(), p.observer(c.Name)))
	if old != nil {
		client.ShareLimits(old.client)
	}
	ctx, cancel := context.WithTimeout(ctx, visitorTimeout)
	defer cancel()
	if mailbox == "" {
		_, err = client.Token(ctx, "")
	} else {
		_, err = client.Mailbox(mailbox).Probe(ctx)
		var e *graph.Error
		if errors.As(err, &e) && e.Reason == graph.ReasonAccessDenied && maySendOnly(credential, mailbox) {
			err = nil
		}
	}
	if err != nil {
		client.Close()
		return err
	}
	p.visitors.keep(lane, &visitor{client: client, mailbox: mailbox, proof: proof, cfg: p.cfg, used: time.Now()})
	p.visited(lane)
	return nil
}

// maySendOnly tells whether a token that Graph knows, but lets not look into the mailbox,
// is its owner's with Mail.Send alone. Anybody has some token, of an application too, and
// would put it in the place of another client's; a sign-in name is of one tenant alone.
func maySendOnly(token, mailbox string) bool {
	c := claimsOf(token)
	return slices.Contains(strings.Fields(c.Scope), "Mail.Send") && strings.EqualFold(c.UPN, mailbox)
}

// visitApp signs in an application: the user name is client-id@tenant.
func (p *policy) visitApp(ctx context.Context, who smtpd.Identity, name, secret string) error {
	clientID, tenant, ok := config.ParseApplication(name)
	if !ok {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: smtpd.ReasonAuth,
			Text: "The user name has to be CLIENT-ID@TENANT of an Entra application, and the password its client secret"}
	}
	app := appOf(*p.passThrough(who))
	app.Tenant, app.ClientID = tenant, clientID
	return p.visit(ctx, who, name, secret, "", app, entra.ClientSecret{App: app, Secret: secret})
}

// AuthenticateToken implements smtpd.Policy: the client brings a token for Graph.
func (p *policy) AuthenticateToken(ctx context.Context, who smtpd.Identity, user, token string) error {
	if !smtpd.ValidAddress(user) {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: smtpd.ReasonAuth,
			Text: "The user name has to be the address of the mailbox that the token is for"}
	}
	mailbox := strings.ToLower(user)
	err := p.visit(ctx, who, user, token, mailbox, entra.App{ClientID: mailbox}, &entra.PassThroughToken{Value: oauth2.Token{AccessToken: token}})
	return p.signedIn(ctx, who, user, err)
}

// wrongCredential tells a credential that is refused from one that nobody could look at.
func wrongCredential(err error) bool {
	var e *graph.Error
	if !errors.As(err, &e) {
		return false
	}
	return slices.Contains([]graph.Reason{graph.ReasonAuth, graph.ReasonMailbox, graph.ReasonNotConnected, graph.ReasonAccessDenied}, e.Reason)
}

// passThrough is the connection of a listener whose clients bring their credential; nil
// for others.
func (p *policy) passThrough(who smtpd.Identity) *config.Connection {
	l := p.listeners[who.Listener]
	if l == nil || l.PassThrough == "" {
		return nil
	}
	return p.cfg.ConnectionOf("", l.PassThrough)
}

// visitorRoute sends through what the client brought. Graph decides what that may be for.
func (p *policy) visitorRoute(who smtpd.Identity, c *config.Connection, address string) (routed, error) {
	lane := visitorLane(c.Name, who.User)
	v := p.visitors.find(lane)
	if v == nil {
		return routed{}, fmt.Errorf("no credential of %s any more", who.User)
	}
	if !smtpd.ValidAddress(address) {
		return routed{}, senderRefusal(fmt.Sprintf("%s is no address that a mailbox can have; send from another", address))
	}
	mailbox := v.mailbox
	if mailbox == "" {
		mailbox = strings.ToLower(address)
	}
	return routed{lane: queue.Lane{Connection: lane, Mailbox: mailbox}, from: address}, nil
}

// clientOf finds the client of a lane's connection.
func (g *generation) clientOf(connection string) (*graph.Client, error) {
	if c := g.clients[connection]; c != nil {
		return c, nil
	}
	name, principal, ok := strings.Cut(connection, queue.PrincipalMark)
	if !ok || g.clients[name] != nil || g.cfg.ConnectionOf("", name) == nil {
		return nil, fmt.Errorf("the configuration has no connection %s any more", name)
	}
	if v := g.policy.visitors.find(connection); v != nil {
		return v.client, nil
	}
	return nil, fmt.Errorf("%w: the relay has no credential of %s since its start; the mail goes on when that signs in again", graph.ErrNotConnected, principal)
}
