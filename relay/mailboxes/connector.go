package mailboxes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/smtpd"
)

// Connector connects mailboxes: an owner signs in, and the store keeps the refresh
// token.
type Connector struct {
	cfg   *config.Config
	store *Store
	log   *slog.Logger
}

// NewConnector returns a connector that keeps sign-ins in store.
func NewConnector(cfg *config.Config, store *Store, log *slog.Logger) *Connector {
	return &Connector{cfg, store, log}
}

// Connections returns the names of the connections that mailboxes can be connected
// through.
func (k *Connector) Connections() []string { return delegated(k.cfg) }

func delegated(cfg *config.Config) (names []string) {
	for _, c := range cfg.Connections {
		if c.SignIn == config.SignInDelegated {
			names = append(names, c.Name)
		}
	}
	return names
}

// SignIn is a sign-in for a mailbox, by its owner or, if it is a shared one, by somebody
// with rights in it.
type SignIn struct {
	connector  *Connector
	connection config.Connection
	mailbox    string
	delegated  entra.Delegated
	client     *graph.Client
	account    string // that signed in; empty: not yet, or the token does not tell
}

// Begin begins a sign-in for a mailbox. connectionName may be empty: then it is the
// connection of the mailbox's domain, or the only one. shared says that whoever signs in is
// not the mailbox's owner, and has to agree to more.
func (k *Connector) Begin(connectionName, mailbox string, shared bool) (*SignIn, error) {
	mailbox = mailaddr.Canonical(strings.TrimSpace(mailbox))
	if !smtpd.ValidAddress(mailbox) {
		return nil, errors.New("that is no mail address; write one such as anna@contoso.test")
	}
	names := k.Connections()
	c := k.cfg.ConnectionOf(mailbox, connectionName)
	if c == nil && connectionName == "" && len(names) == 1 {
		c = k.cfg.ConnectionOf(mailbox, names[0])
	}
	if c == nil || c.SignIn != config.SignInDelegated {
		return nil, fmt.Errorf("say which connection with sign_in: delegated it is for; there are: %s", strings.Join(names, ", "))
	}
	d := connection.Delegated(*c, nil)
	d.Shared = shared
	return &SignIn{connector: k, connection: *c, mailbox: mailbox, delegated: d, client: connection.NewClient(k.cfg, *c, d, nil)}, nil
}

// Mailbox returns the address of the mailbox that is connected, in lower case.
func (s *SignIn) Mailbox() string { return s.mailbox }

// Shared reports whether the mailbox is another one's than the account's that signs in.
func (s *SignIn) Shared() bool { return s.delegated.Shared }

// Served reports whether mail from the mailbox's address finds this connection. Otherwise only
// the SMTP user of the mailbox can send from it.
func (s *SignIn) Served() bool {
	cfg := s.connector.cfg
	leads := func(c *config.Connection) bool { return c != nil && c.Name == s.connection.Name }
	return leads(cfg.ConnectionOf(s.mailbox)) || slices.ContainsFunc(cfg.Senders, func(rule config.Sender) bool {
		return mailaddr.Same(rule.Mailbox, s.mailbox) && leads(cfg.ConnectionOf(rule.Mailbox, rule.Connection))
	})
}

// Domains returns the domains whose mail goes through the connection, as the configuration lists
// them.
func (s *SignIn) Domains() []string { return s.connection.Domains }

// ConnectionName returns the name of the connection that the sign-in is for.
func (s *SignIn) ConnectionName() string { return s.connection.Name }

// Account returns the account that signed in, if that has another name than the mailbox and
// its token tells.
func (s *SignIn) Account() string {
	if mailaddr.Same(s.account, s.mailbox) {
		return ""
	}
	return s.account
}

// DeviceCode begins the sign-in with a device code (RFC 8628), to be entered on any device.
func (s *SignIn) DeviceCode(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
	code, err := s.delegated.DeviceCode(s.client.WithHTTPClient(ctx))
	return code, s.failed(err)
}

// WaitForDevice completes what DeviceCode began.
func (s *SignIn) WaitForDevice(ctx context.Context, code *oauth2.DeviceAuthResponse) error {
	token, err := s.delegated.WaitForDevice(s.client.WithHTTPClient(ctx), code)
	return s.keep(ctx, token, err)
}

// AuthURL returns the address at which a browser signs in. The browser comes back to
// redirect with state and a code.
func (s *SignIn) AuthURL(redirect, state, verifier string) string {
	hint := s.mailbox
	if s.Shared() { // which nobody can sign in as
		hint = ""
	}
	return s.delegated.AuthURL(redirect, state, verifier, hint)
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

// keep stores the token only if Graph lets it open the mailbox: the address may be another
// person's. One that opens only its owner's mailbox is tried with the scopes for shared ones
// too, if they were agreed to before.
func (s *SignIn) keep(ctx context.Context, token *oauth2.Token, err error) error {
	if err != nil {
		return s.failed(err)
	}
	defer s.client.Close()
	s.account = connection.Account(token.AccessToken)
	err = s.probe(ctx, token)
	if graph.AccessDenied(err) && !s.Shared() {
		wider := s.delegated
		wider.Shared = true
		if t, failed := wider.Widen(s.client.WithHTTPClient(ctx), token); failed == nil && s.probe(ctx, t) == nil {
			s.delegated, token, err = wider, t, nil
		}
	}
	if err != nil {
		return s.refusal(err)
	}
	if err := s.connector.store.Connect(ctx, s.connection.Name, s.mailbox, s.Account(), token.RefreshToken); err != nil {
		return fmt.Errorf("store the sign-in: %w", err)
	}
	s.connector.log.Info("mailbox connected", "connection", s.connection.Name, "mailbox", s.mailbox, "account", s.account, "shared", s.Shared())
	return nil
}

// probe looks into the mailbox with a token.
func (s *SignIn) probe(ctx context.Context, token *oauth2.Token) error {
	client := connection.NewClient(s.connector.cfg, s.connection, entra.StaticToken{Value: token}, nil)
	defer client.Close()
	_, err := client.Mailbox(s.mailbox).Probe(ctx)
	return err
}

// NotAllowedError says that the account that signed in may not use the mailbox.
type NotAllowedError struct {
	Account string // that signed in; empty: the token does not tell
	Mailbox string
	Shared  bool // it was to be connected as a shared mailbox
	Unsure  bool // Graph did not tell whether it may

	err error
}

// Error implements error. Its text is for whoever uses the command line.
func (e *NotAllowedError) Error() string {
	account := "the account that signed in"
	if e.Account != "" {
		account = "the account " + text.Printable(e.Account)
	}
	switch {
	case e.Unsure:
		return fmt.Sprintf("cannot see whether %s may use the mailbox %s; try again: %v", account, e.Mailbox, e.err)
	case e.Shared:
		return fmt.Sprintf("%s may not use the mailbox %s; give it Full Access and Send As in Exchange (Add-MailboxPermission, Add-RecipientPermission), which can take an hour to work, and sign in again: %v", account, e.Mailbox, e.err)
	}
	return fmt.Sprintf("%s may not use the mailbox %s; sign in as its owner, or, if it is a shared mailbox in which the account has Full Access, connect it as one: --shared on the command line, or the box on the page: %v", account, e.Mailbox, e.err)
}

// Unwrap returns the answer of Graph.
func (e *NotAllowedError) Unwrap() error { return e.err }

// refusal explains why the mailbox is not connected, after the account signed in.
func (s *SignIn) refusal(err error) error {
	var e *graph.Error
	unsure := !errors.As(err, &e) || e.Class == graph.ClassTemporary || e.Class == graph.ClassConnection
	return &NotAllowedError{Account: s.account, Mailbox: s.mailbox, Shared: s.Shared(), Unsure: unsure, err: err}
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
func (k *Connector) List(ctx context.Context) ([]Mailbox, error) { return k.store.List(ctx) }

// Disconnect forgets a mailbox of whichever connection, its token and its SMTP user. What
// its owner has agreed to stays known to Entra.
func (k *Connector) Disconnect(ctx context.Context, mailbox string) error {
	err := ErrNoSuchMailbox
	for _, name := range k.Connections() {
		switch e := k.store.Disconnect(ctx, name, mailbox); {
		case e == nil && errors.Is(err, ErrNoSuchMailbox):
			err = nil
		case e != nil && !errors.Is(e, ErrNoSuchMailbox):
			err = e
		}
	}
	return err
}
