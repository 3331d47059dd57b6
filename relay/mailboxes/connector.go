//go:build ignore

package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// Connector connects mailboxes: their owners sign in, and the relay keeps what comes of
// it.
type Connector struct {
	cfg   *config.Config
	store *mailboxes.Store
	log   *slog.Logger
}

// NewConnector opens the connected mailboxes, of a running or stopped relay.
func NewConnector(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Connector, error) {
	if !cfg.Delegated() {
		return nil, errors.New("no connection has sign_in: delegated, which lets owners connect their mailboxes; add one to the configuration")
	}
	store, err := openMailboxes(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return &Connector{cfg, store, log}, nil
}

// Close closes what NewConnector opened.
func (k *Connector) Close() error { return k.store.Close() }

// Connections are the names of those that mailboxes can be connected through.
func (k *Connector) Connections() (names []string) {
	for _, c := range k.cfg.Connections {
		if c.SignIn == config.SignInDelegated {
			names = append(names, c.Name)
		}
	}
	return names
}

// SignIn is one owner's sign-in for a mailbox, not yet complete.
type SignIn struct {
	connector  *Connector
	connection config.Connection
	mailbox    string
	delegated  entra.Delegated
	client     *graph.Client
}

// Begin begins a sign-in. connection may be empty: then it is the mailbox's domain's, or
// the only one.
func (k *Connector) Begin(connection, mailbox string) (*SignIn, error) {
	mailbox = strings.ToLower(strings.TrimSpace(mailbox))
	if !smtpd.ValidAddress(mailbox) {
		return nil, errors.New("that is no mail address; write one such as anna@contoso.test")
	}
	names := k.Connections()
	c := k.cfg.ConnectionOf(mailbox, connection)
	if c == nil && connection == "" && len(names) == 1 {
		c = k.cfg.ConnectionOf(mailbox, names[0])
	}
	if c == nil || c.SignIn != config.SignInDelegated {
		return nil, fmt.Errorf("say which connection with sign_in: delegated it is for; there are: %s", strings.Join(names, ", "))
	}
	return &SignIn{
		connector: k, connection: *c, mailbox: mailbox,
		delegated: entra.Delegated{App: appOf(*c), Secret: c.ClientSecret.Reveal()},
		client:    NewClient(k.cfg, *c, nil),
	}, nil
}

// Mailbox is the one that is connected, in lower case.
func (s *SignIn) Mailbox() string { return s.mailbox }

// DeviceCode begins it on another device.
func (s *SignIn) DeviceCode(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
	code, err := s.delegated.DeviceCode(s.client.WithHTTPClient(ctx))
	return code, s.failed(err)
}

// WaitForDevice completes what DeviceCode began.
func (s *SignIn) WaitForDevice(ctx context.Context, code *oauth2.DeviceAuthResponse) error {
	token, err := s.delegated.WaitForDevice(s.client.WithHTTPClient(ctx), code)
	return s.keep(ctx, token, err)
}

// AuthURL is where a browser signs in; it comes back to redirect with state and a code.
func (s *SignIn) AuthURL(redirect, state, verifier string) string {
	return s.delegated.AuthURL(redirect, state, verifier, s.mailbox)
}

// Exchange completes what AuthURL began.
func (s *SignIn) Exchange(ctx context.Context, redirect, code, verifier string) error {
	token, err := s.delegated.Exchange(s.client.WithHTTPClient(ctx), redirect, code, verifier)
	return s.keep(ctx, token, err)
}

func (s *SignIn) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sign in: %w", s.client.SignInError(err))
}

// keep stores the token once Graph has let it see the mailbox: whoever signed in could
// have named anybody's.
func (s *SignIn) keep(ctx context.Context, token *oauth2.Token, err error) error {
	if err != nil {
		return s.failed(err)
	}
	probe := NewClient(s.connector.cfg, s.connection, entra.StaticToken{Value: token})
	defer probe.Close()
	defer s.client.Close()
	_, err = probe.Mailbox(s.mailbox).Probe(ctx)
	var e *graph.Error
	if errors.As(err, &e) && e.Class != graph.ClassPassing && e.Class != graph.ClassConnection {
		return fmt.Errorf("the account that signed in may not use the mailbox %s; sign in as its owner, and see that the application has Mail.ReadWrite and Mail.Send: %w", s.mailbox, err)
	}
	if err != nil {
		return fmt.Errorf("cannot see whether the account may use the mailbox %s; try again: %w", s.mailbox, err)
	}
	if err := s.connector.store.Connect(ctx, s.connection.Name, s.mailbox, token.RefreshToken); err != nil {
		return fmt.Errorf("store the sign-in: %w", err)
	}
	s.connector.log.Info("mailbox connected", "connection", s.connection.Name, "mailbox", s.mailbox)
	return nil
}

// MakeUser makes the SMTP user that may send from the connected mailbox and nothing else,
// and its password, which is shown once. One that was there before gets a new password.
func (s *SignIn) MakeUser(ctx context.Context) (name, password string, err error) {
	for _, u := range s.connector.cfg.Users {
		if u.Name == s.mailbox {
			return "", "", fmt.Errorf("the configuration has a user %s already, which is not that of a connected mailbox; rename it", u.Name)
		}
	}
	password = rand.Text() // 128 bits
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err == nil {
		err = s.connector.store.SetUser(ctx, s.connection.Name, s.mailbox, s.mailbox, string(hash))
	}
	if err != nil {
		return "", "", fmt.Errorf("store the SMTP user: %w", err)
	}
	return s.mailbox, password, nil
}

// List returns the connected mailboxes.
func (k *Connector) List(ctx context.Context) ([]mailboxes.Mailbox, error) { return k.store.List(ctx) }

// Disconnect forgets a mailbox of whichever connection, its token and its SMTP user. What
// its owner has agreed to stays known to Entra.
func (k *Connector) Disconnect(ctx context.Context, mailbox string) error {
	err := mailboxes.ErrNoSuchMailbox
	for _, name := range k.Connections() {
		switch e := k.store.Disconnect(ctx, name, mailbox); {
		case e == nil && errors.Is(err, mailboxes.ErrNoSuchMailbox):
			err = nil
		case e != nil && !errors.Is(e, mailboxes.ErrNoSuchMailbox):
			err = e
		}
	}
	return err
}

// heldMail is what of the queue is needed to release held messages.
type heldMail interface {
	List(ctx context.Context, f queue.Filter) ([]queue.Record, error)
	Lanes(ctx context.Context) ([]queue.LaneStatus, error)
	Apply(ctx context.Context, id string, a queue.Action, by string) error
	Resume(ctx context.Context, lane queue.Lane) error
}

// releaseConnected lets the mail go on that waited for its mailbox to be connected.
func releaseConnected(ctx context.Context, store *mailboxes.Store, q heldMail, log *slog.Logger) error {
	return release(ctx, q, log, "the mailbox is connected", func(l queue.Lane) bool {
		m, err := store.Get(ctx, l.Connection, l.Mailbox)
		return err == nil && m.Refused == ""
	})
}

// release lets the mail go on that was held for want of a credential, and has one now.
// Lane by lane: a list of all has an end, behind which somebody's could be for ever.
func release(ctx context.Context, q heldMail, log *slog.Logger, why string, ready func(queue.Lane) bool) error {
	held, err := q.List(ctx, queue.Filter{States: []queue.State{queue.Held}, Reason: string(graph.ReasonNotConnected), Limit: 1})
	if err != nil || len(held) == 0 { // as nearly always
		return err
	}
	lanes, err := q.Lanes(ctx)
	for _, l := range lanes {
		if l.Messages[queue.Held] > 0 && ready(l.Lane) {
			err = errors.Join(err, releaseLane(ctx, q, log, l.String(), why))
		}
	}
	return err
}

// releaseLane does so with a lane, or with all of a connection.
func releaseLane(ctx context.Context, q heldMail, log *slog.Logger, lane, why string) error {
	for {
		held, err := q.List(ctx, queue.Filter{States: []queue.State{queue.Held}, Reason: string(graph.ReasonNotConnected), Lane: lane})
		released := 0
		for _, m := range held {
			switch e := q.Apply(ctx, m.ID, queue.Release, why); {
			case e == nil:
				released++
				log.Info("released", "id", m.ID, "lane", m.Lane.String(), "why", why)
			case !errors.Is(e, queue.ErrState) && !errors.Is(e, queue.ErrNotFound): // somebody else did something with it
				err = errors.Join(err, e)
			}
		}
		if err != nil || released == 0 {
			return err
		}
	}
}
