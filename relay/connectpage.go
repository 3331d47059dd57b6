//go:build ignore

package relay

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"graphrelay/relay/admin"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
)

// mailboxOf is the connected mailbox of an SMTP user, or nil.
func (p *policy) mailboxOf(ctx context.Context, user string) (*mailboxes.Mailbox, error) {
	if p.mailboxes == nil {
		return nil, nil
	}
	m, err := p.mailboxes.User(ctx, user)
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) || err == nil && !p.delegated(m.Connection) {
		return nil, nil
	}
	return &m, err
}

// delegated says whether the connection is there still, and lets owners sign in.
func (p *policy) delegated(connection string) bool {
	c := p.cfg.ConnectionOf("", connection)
	return c != nil && c.SignIn == config.SignInDelegated
}

// ownMailbox routes the mail of a connected mailbox's user: from that mailbox alone.
func (p *policy) ownMailbox(user, address string) (routed, error) {
	m, err := p.mailboxOf(context.Background(), user)
	if err != nil {
		return routed{}, err
	}
	if m == nil || !strings.EqualFold(address, m.Address) {
		return routed{}, senderRefusal(fmt.Sprintf("The user %s may not send as %s, only as the mailbox that it was made for", user, address))
	}
	return routed{lane: queue.Lane{Connection: m.Connection, Mailbox: m.Address}, from: address}, nil
}

// isConnected refuses a mailbox whose owner has never signed in. The mail of one that has
// to sign in again is taken, and held until then.
func (p *policy) isConnected(c *config.Connection, mailbox string) error {
	if c.SignIn != config.SignInDelegated {
		return nil
	}
	_, err := p.mailboxes.Get(context.Background(), c.Name, mailbox)
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) {
		return senderRefusal(fmt.Sprintf("The mailbox %s is not connected: its owner has to sign in once, on the relay's page /connect or with graphrelay connect", mailbox))
	}
	return err
}

// connectPage is the page on which owners connect mailboxes, or nil.
func (g *generation) connectPage(q heldMail) *admin.ConnectPage {
	if g.mailboxes == nil {
		return nil
	}
	k := &Connector{g.cfg, g.mailboxes, g.log}
	p := &admin.ConnectPage{
		Connections: k.Connections(), BaseURL: g.cfg.Admin.BaseURL(), Log: g.log,
		Begin: func(connection, mailbox string) (admin.SignIn, error) { return k.Begin(connection, mailbox) },
		Connected: func() {
			if err := releaseConnected(context.Background(), g.mailboxes, q, g.log); err != nil {
				g.log.Error("cannot release the mail of connected mailboxes", "error", err)
			}
		},
	}
	for _, c := range g.cfg.Connections {
		if u, err := url.Parse(c.Endpoints.Login); err == nil && c.SignIn == config.SignInDelegated {
			p.Logins = append(p.Logins, u.Scheme+"://"+u.Host)
		}
	}
	for _, l := range g.cfg.Listeners {
		if l.Auth != config.AuthNone {
			p.Submission = append(p.Submission, fmt.Sprintf("%s, port %s, TLS: %s", g.cfg.Hostname, l.Address[strings.LastIndexByte(l.Address, ':')+1:], l.TLS))
		}
	}
	return p
}
